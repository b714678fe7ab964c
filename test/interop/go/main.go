// Command checklog reads a log as this project serves it and checks everything that can be checked from outside, with
// the packages that Go's own checksum database is built on. Nothing in it shares code with the project.
//
//	checklog [-inclusion N] [-old FILE [-oldkey VKEY]] [-save FILE] BASE VKEY
//
// BASE is the URL that "checkpoint" and "tile/" stand below. Each check prints a line. The exit code is 0 if all hold,
// 1 if one does not, and 2 if the command line makes no sense.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type options struct {
	inclusion int64  // entries whose inclusion is proven; 0 for all
	old       string // file with an earlier checkpoint, or empty
	oldKey    string // vkey that it is signed by, where the log had another key then; or empty
	save      string // file that the checkpoint is written to, or empty
}

func main() {
	var opts options
	flag.Int64Var(&opts.inclusion, "inclusion", 0, "prove inclusion of about `N` entries, spread evenly (0: all)")
	flag.StringVar(&opts.old, "old", "", "`file` with an earlier checkpoint that this log must extend")
	flag.StringVar(&opts.oldKey, "oldkey", "", "`vkey` of the earlier checkpoint, if it is another")
	flag.StringVar(&opts.save, "save", "", "`file` to keep the checkpoint in")
	flag.Parse()
	if flag.NArg() != 2 || opts.inclusion < 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := check(flag.Arg(0), flag.Arg(1), opts); err != nil {
		fmt.Printf("WRONG %v\n", err)
		os.Exit(1)
	}
}

func check(base, vkey string, opts options) error {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return fmt.Errorf("vkey: %v", err)
	}
	site := &site{base: base}
	msg, err := site.get("checkpoint")
	if err != nil {
		return err
	}
	tree, err := openCheckpoint(msg, verifier)
	if err != nil {
		return fmt.Errorf("checkpoint: %v", err)
	}
	fmt.Printf("ok signature of %s, size %d, root %s\n", verifier.Name(), tree.N, tree.Hash)

	leaves, err := readEntries(site, tree.N)
	if err != nil {
		return fmt.Errorf("entries: %v", err)
	}
	if err := checkRootOfEntries(tree, leaves); err != nil {
		return err
	}
	fmt.Printf("ok root of %d entries\n", len(leaves))

	hashes := tlog.TileHashReader(tree, &tiles{site: site})
	if err := checkTiles(tree, hashes, leaves, opts.inclusion); err != nil {
		return err
	}
	if opts.old != "" {
		if opts.oldKey != "" {
			if verifier, err = note.NewVerifier(opts.oldKey); err != nil {
				return fmt.Errorf("oldkey: %v", err)
			}
		}
		if err := checkConsistency(tree, hashes, opts.old, verifier); err != nil {
			return err
		}
	}
	if opts.save != "" {
		return os.WriteFile(opts.save, msg, 0o600)
	}
	return nil
}

// openCheckpoint verifies a checkpoint's signature and reads its text (c2sp.org/tlog-checkpoint).
func openCheckpoint(msg []byte, verifier note.Verifier) (tlog.Tree, error) {
	opened, err := note.Open(msg, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := bytes.SplitN([]byte(opened.Text), []byte("\n"), 4)
	if len(lines) < 4 {
		return tlog.Tree{}, errors.New("fewer than three lines")
	}
	if string(lines[0]) != verifier.Name() {
		return tlog.Tree{}, fmt.Errorf("its origin is %q, not %q", lines[0], verifier.Name())
	}
	if len(lines[3]) > 0 {
		fmt.Printf("note: extension lines %q\n", lines[3])
	}
	// Go's own tree text differs in its first line only.
	return tlog.ParseTree([]byte(fmt.Sprintf("go.sum database tree\n%s\n%s\n", lines[1], lines[2])))
}

// checkRootOfEntries builds the whole tree out of the entries' hashes, with no tile involved.
func checkRootOfEntries(tree tlog.Tree, leaves []tlog.Hash) error {
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		found := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			found[i] = stored[index]
		}
		return found, nil
	})
	for i, leaf := range leaves {
		hashes, err := tlog.StoredHashesForRecordHash(int64(i), leaf, reader)
		if err != nil {
			return fmt.Errorf("entry %d: %v", i, err)
		}
		stored = append(stored, hashes...)
	}
	root, err := tlog.TreeHash(tree.N, reader)
	if err != nil {
		return fmt.Errorf("root of the entries: %v", err)
	}
	if root != tree.Hash {
		return fmt.Errorf("the root of the entries is %s, the checkpoint says %s", root, tree.Hash)
	}
	return nil
}

// checkTiles computes the root from tiles, and proves by tiles that the entries are the tree's leaves.
func checkTiles(tree tlog.Tree, hashes tlog.HashReader, leaves []tlog.Hash, sample int64) error {
	root, err := tlog.TreeHash(tree.N, hashes)
	if err != nil {
		return fmt.Errorf("root of the tiles: %v", err)
	}
	if root != tree.Hash {
		return fmt.Errorf("the root of the tiles is %s, the checkpoint says %s", root, tree.Hash)
	}
	fmt.Println("ok root of tiles")
	step, proven := int64(1), 0
	if sample > 0 && tree.N > sample {
		step = tree.N / sample
	}
	for i := int64(0); i < tree.N; i += step {
		// The last one is always among them: it is the commit of the checkpoint.
		if i+step >= tree.N {
			i = tree.N - 1
		}
		if err := checkInclusion(tree, hashes, i, leaves[i]); err != nil {
			return fmt.Errorf("inclusion of entry %d: %v", i, err)
		}
		proven++
	}
	fmt.Printf("ok inclusion of %d entries\n", proven)
	return nil
}

func checkInclusion(tree tlog.Tree, hashes tlog.HashReader, index int64, leaf tlog.Hash) error {
	proof, err := tlog.ProveRecord(tree.N, index, hashes)
	if err != nil {
		return err
	}
	return tlog.CheckRecord(proof, tree.N, tree.Hash, index, leaf)
}

// checkConsistency proves by tiles that an earlier checkpoint is a beginning of this tree.
func checkConsistency(tree tlog.Tree, hashes tlog.HashReader, file string, verifier note.Verifier) error {
	msg, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	old, err := openCheckpoint(msg, verifier)
	if err != nil {
		return fmt.Errorf("%s: %v", file, err)
	}
	if old.N > tree.N {
		return fmt.Errorf("rolled back: size %d now, %d in %s", tree.N, old.N, file)
	}
	if old.N > 0 {
		proof, err := tlog.ProveTree(tree.N, old.N, hashes)
		if err != nil {
			return fmt.Errorf("consistency with size %d: %v", old.N, err)
		}
		if err := tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash); err != nil {
			return fmt.Errorf("not consistent with size %d, root %s: %v", old.N, old.Hash, err)
		}
	}
	fmt.Printf("ok consistency with size %d\n", old.N)
	return nil
}
