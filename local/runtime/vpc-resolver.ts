import dns from 'node:dns';

/**
 * The resolver of a VPC in a function's process: names of the cloud's zones are looked up with the cloud's name server,
 * all others as on this machine. It stands in for `dns.lookup`, by which Node's sockets find their hosts.
 *
 * @param address `127.0.0.1:port` of the name server; nothing is changed without it
 */
export function useNameServer(address: string | undefined): void {
  if (!address) return;
  const resolver = new dns.promises.Resolver({ timeout: 1000, tries: 2 });
  resolver.setServers([address]);
  const { lookup } = dns;
  const promised = dns.promises.lookup;
  /** The addresses of a name in the cloud's zones; undefined for one that is not. @throws NXDOMAIN within a zone */
  const resolve = async (name: string): Promise<string[] | undefined> => {
    if (!/^[a-z][a-z0-9_.-]*\.[a-z0-9_.-]*[a-z]$/i.test(name)) return undefined;
    try {
      return await resolver.resolve4(name);
    } catch (error) {
      // Refused: the name is in none of the zones.
      if ((error as NodeJS.ErrnoException).code === 'EREFUSED') return undefined;
      throw error;
    }
  };
  const found = (addresses: string[], all: boolean | undefined) =>
    all ? addresses.map((one) => ({ address: one, family: 4 })) : { address: addresses[0] as string, family: 4 };

  dns.lookup = ((name: string, given: any, done: any) => {
    const callback = typeof given === 'function' ? given : done;
    const options = typeof given === 'object' && given !== null ? given : {};
    resolve(name).then(
      (addresses) => {
        if (addresses === undefined) lookup(name, options, callback);
        else if (options.all) callback(null, found(addresses, true));
        else callback(null, addresses[0], 4);
      },
      (error) => callback(error),
    );
  }) as typeof dns.lookup;
  dns.promises.lookup = (async (name: string, options: any) => {
    const addresses = await resolve(name);
    return addresses === undefined ? promised(name, options) : found(addresses, options?.all);
  }) as typeof dns.promises.lookup;
}
