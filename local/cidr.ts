/** IPv4 blocks as `Fn::Cidr` gives them: `count` consecutive blocks with `hostBits` host bits each, within `block`. */
export function cidrBlocks(block: string, count: number, hostBits: number): string[] {
  const [address = '', prefix] = block.split('/');
  const octets = address.split('.').map(Number);
  const valid = octets.length === 4 && octets.every((octet) => Number.isInteger(octet) && octet >= 0 && octet <= 255);
  if (!valid || !(Number(prefix) >= 0 && Number(prefix) <= 32))
    throw new Error(`Fn::Cidr: not an IPv4 block: ${JSON.stringify(block)}.`);
  if (!(count >= 1 && count <= 256 && hostBits >= 1 && hostBits <= 32))
    throw new Error(`Fn::Cidr: count is 1 to 256 and host bits 1 to 32, not ${count} and ${hostBits}.`);
  const size = 2 ** hostBits;
  const room = 2 ** (32 - Number(prefix));
  if (count * size > room) throw new Error(`Fn::Cidr: ${count} blocks of /${32 - hostBits} do not fit into ${block}.`);
  const base = octets.reduce((sum, octet) => sum * 256 + octet, 0);
  const start = base - (base % room);
  return Array.from({ length: count }, (_, i) => {
    const at = start + i * size;
    return `${[24, 16, 8, 0].map((shift) => Math.floor(at / 2 ** shift) % 256).join('.')}/${32 - hostBits}`;
  });
}
