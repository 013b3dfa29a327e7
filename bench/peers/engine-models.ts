/** The mock engine chooses its pace by the model's name, so each name is an entry of its own on the same URL. */
export const ENGINE_MODELS = ['mock', 'burst', 'paced', 'lock'];

/** Whether a gateway answers a chat for one of them. */
export async function answersChat(url: string, token: string, model: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model, messages: [{ role: 'user', content: 'x' }], max_tokens: 1 }),
    });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false; // refused or reset: the caller polls and has a deadline
  }
}
