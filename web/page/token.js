// The access token: comes in the address's fragment, which browsers send to nobody, and moves on to the tab's own store, so that it
// stands neither in the address bar nor in the history.

const NAME = 'blindsight-token';

/** The token, if the address or this tab has one. */
export function takeToken() {
  const token = new URLSearchParams(location.hash.slice(1)).get('token');
  if (token) keepToken(token);
  if (location.hash.startsWith('#token=')) history.replaceState(null, '', location.pathname);
  return sessionStorage.getItem(NAME);
}

export function keepToken(token) {
  sessionStorage.setItem(NAME, token);
}

export function dropToken() {
  sessionStorage.removeItem(NAME);
}
