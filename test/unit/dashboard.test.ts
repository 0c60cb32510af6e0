import { expect, it } from 'vitest';
import { dashboardPicture } from './dashboard-picture.ts';

it('is drawn for the docs from the widgets that are deployed (vitest -u rewrites it)', async () => {
  await expect(dashboardPicture()).toMatchFileSnapshot('../../docs/dashboard.svg');
});
