/** A page of a list. */
interface Page {
  readonly nextPageToken: string;
}

/** All pages of a list, one after the other, as far as `limit` entries. */
export async function allPages<P extends Page>(
  ask: (pageToken: string) => Promise<P>,
  countOf: (page: P) => number,
  limit = Number.POSITIVE_INFINITY,
): Promise<P[]> {
  const pages: P[] = [];
  let count = 0;
  for (let token = ''; ; ) {
    const page = await ask(token);
    pages.push(page);
    count += countOf(page);
    token = page.nextPageToken;
    if (token === '' || count >= limit) return pages;
  }
}
