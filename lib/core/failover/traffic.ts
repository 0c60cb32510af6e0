import type { Role } from './role.ts';

/**
 * SecondaryIsWriter is watched by the sum of its current minute: above zero, the name leads to the standby. The
 * republished values count one each; a flip has to outweigh those of its minute, and the flips before it. So it is
 * higher with each epoch: with alternating signs the newest always decides.
 */
export const flipWeight = ({ epoch, run }: Pick<Role, 'epoch' | 'run'>): number => 1000 * (run?.epoch ?? epoch);
