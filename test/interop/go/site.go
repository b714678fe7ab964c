package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	tileHeight    = 8
	tileWidth     = 1 << tileHeight
	bodyBytesMax  = tileWidth * (2 + 65535)
	hashTileBytes = tileWidth * tlog.HashSize
)

var client = &http.Client{Timeout: 30 * time.Second}

// A site is a server's read prefix (c2sp.org/tlog-tiles).
type site struct{ base string }

func (s *site) get(path string) ([]byte, error) {
	answer, err := client.Get(strings.TrimSuffix(s.base, "/") + "/" + path)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: status %d", path, answer.StatusCode)
	}
	// The client undoes gzip by itself.
	body, err := io.ReadAll(io.LimitReader(answer.Body, bodyBytesMax+1))
	if err == nil && len(body) > bodyBytesMax {
		err = errors.New("endless")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %v", path, err)
	}
	return body, nil
}

// tilePath is a tile's path in tlog-tiles: Go's own, without the height, and with other words for entries.
func tilePath(t tlog.Tile) string {
	path := strings.TrimPrefix(t.Path(), fmt.Sprintf("tile/%d/", tileHeight))
	return "tile/" + strings.Replace(path, "data/", "entries/", 1)
}

// readEntries returns the leaf hash of each entry.
func readEntries(s *site, size int64) ([]tlog.Hash, error) {
	leaves := make([]tlog.Hash, 0, size)
	for n := int64(0); n*tileWidth < size; n++ {
		width := size - n*tileWidth
		if width > tileWidth {
			width = tileWidth
		}
		tile := tlog.Tile{H: tileHeight, L: -1, N: n, W: int(width)}
		bundle, err := s.get(tilePath(tile))
		if err != nil {
			return nil, err
		}
		for i := 0; i < tile.W; i++ {
			var entry []byte
			if entry, bundle, err = cutEntry(bundle); err != nil {
				return nil, fmt.Errorf("%s, entry %d: %v", tilePath(tile), i, err)
			}
			leaves = append(leaves, tlog.RecordHash(entry))
		}
		if len(bundle) > 0 {
			return nil, fmt.Errorf("%s: %d bytes too many", tilePath(tile), len(bundle))
		}
	}
	return leaves, nil
}

// cutEntry takes one entry, with its length in front, off a bundle.
func cutEntry(bundle []byte) (entry, rest []byte, err error) {
	if len(bundle) < 2 {
		return nil, nil, errors.New("cut short")
	}
	length := int(binary.BigEndian.Uint16(bundle))
	if len(bundle) < 2+length {
		return nil, nil, errors.New("cut short")
	}
	return bundle[2 : 2+length], bundle[2+length:], nil
}

// tiles reads hash tiles for tlog.TileHashReader, which believes no hash that it did not prove up to the root.
type tiles struct {
	site *site
	kept map[tlog.Tile][]byte
}

func (t *tiles) Height() int { return tileHeight }

func (t *tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(wanted))
	for i, tile := range wanted {
		read, err := t.read(tile)
		if err != nil {
			return nil, err
		}
		data[i] = read
	}
	return data, nil
}

func (t *tiles) read(tile tlog.Tile) ([]byte, error) {
	if known := t.kept[tile]; known != nil {
		return known, nil
	}
	data, err := t.site.get(tilePath(tile))
	if err != nil {
		return nil, err
	}
	if len(data) != tile.W*tlog.HashSize || len(data) > hashTileBytes {
		return nil, fmt.Errorf("%s: %d bytes, not %d", tilePath(tile), len(data), tile.W*tlog.HashSize)
	}
	return data, nil
}

// SaveTiles keeps what was proven, so that checking many entries asks for each tile once.
func (t *tiles) SaveTiles(proven []tlog.Tile, data [][]byte) {
	if t.kept == nil {
		t.kept = map[tlog.Tile][]byte{}
	}
	for i, tile := range proven {
		t.kept[tile] = data[i]
	}
}
