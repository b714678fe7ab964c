/** The published types of @npmcli/config leave out this entry point. */
declare module '@npmcli/config/lib/definitions/index.js' {
  import type Config from '@npmcli/config';

  const parts: {
    definitions: Config.DefinitionsObject;
    shorthands: Config.ShortFlags;
    flatten: Config.Flatten;
  };
  // biome-ignore lint/style/noDefaultExport: a CommonJS module has no other
  export default parts;
}
