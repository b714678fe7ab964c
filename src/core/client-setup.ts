/** What people type to use a registry with each client, and to stop using it. */

export type ClientSetup = {
  /** As people call it. */
  readonly client: string;
  /** Where lines go that are no commands; null for commands in a shell. */
  readonly file: string | null;
  readonly use: readonly string[];
  readonly stop: readonly string[];
};

/**
 * @param registry URL of a door, with a slash at its end
 * @returns in the order in which people are likely to look for them
 */
export function clientSetups(registry: string): ClientSetup[] {
  return [
    viaConfig('npm', 'npm', registry),
    viaConfig('pnpm', 'pnpm', registry),
    viaConfig('yarn 1', 'yarn', registry),
    yarnBerry(registry),
    {
      client: 'bun',
      file: '~/.bunfig.toml',
      use: ['[install]', `registry = "${registry}"`],
      stop: ['take these lines out again'],
    },
  ];
}

function viaConfig(client: string, command: string, registry: string): ClientSetup {
  const use = [`${command} config set registry ${registry}`];
  return { client, file: null, use, stop: [`${command} config delete registry`] };
}

/** yarn 2 and later want to be told that plain HTTP is meant. */
function yarnBerry(registry: string): ClientSetup {
  const { protocol, hostname } = new URL(registry);
  const plain = protocol === 'http:';
  return {
    client: 'yarn 4',
    file: null,
    use: [
      `yarn config set --home npmRegistryServer ${registry}`,
      ...(plain ? [`yarn config set --home unsafeHttpWhitelist ${hostname}`] : []),
    ],
    stop: [
      'yarn config unset --home npmRegistryServer',
      ...(plain ? ['yarn config unset --home unsafeHttpWhitelist'] : []),
    ],
  };
}
