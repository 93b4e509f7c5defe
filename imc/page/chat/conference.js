// RFC 4575: who is in a room, as its documents tell it.

const ROLES = ['owner', 'admin', 'member'];

const all = (element, name) => [...element.getElementsByTagNameNS('*', name)];

// { isFull, members: [{ aor, role, isGone }] }, null where it cannot be read.
export function readConference(text) {
  const read = new DOMParser().parseFromString(text, 'application/xml');
  const root = read.documentElement;
  if (!root || root.localName !== 'conference-info') return null;
  const members = all(root, 'user').map((user) => ({
    aor: (user.getAttribute('entity') || '').replace(/^sips?:/, ''),
    role: all(user, 'entry').map((each) => each.textContent.trim()).find((each) => ROLES.includes(each)) || 'member',
    isGone: user.getAttribute('state') === 'deleted',
  }));
  return { isFull: (root.getAttribute('state') || 'full') === 'full', members: members.filter((one) => one.aor) };
}
