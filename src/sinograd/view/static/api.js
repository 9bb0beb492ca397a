/* Requests to the server that the page came from. */
const token = new URLSearchParams(location.search).get("token") ?? "";
const headers = { "X-Sinograd-Token": token };

async function asked(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { ...options, headers: { ...headers, ...options.headers } });
  } catch {
    throw new Error("The server has ended; start the command again and open the address that it prints.");
  }
  if (answer.ok) return answer;
  const text = await answer.text();
  let said = text.trim();
  try { said = JSON.parse(text).error ?? said; } catch { /* plain text */ }
  throw new Error(said || `the server answered ${answer.status}`);
}

const query = values => new URLSearchParams(Object.entries(values).filter(([, v]) => v !== undefined && v !== null)).toString();

export const address = (name, values = {}) => `/api/${name}?${query(values)}`;
export const json = async (name, values = {}) => (await asked(address(name, values))).json();
export const bytes = async (name, values = {}) => (await asked(address(name, values))).arrayBuffer();
export const post = async (name, body) => (await asked(`/api/${name}`, {
  method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } })).json();

/* Float32 numbers with their shape; null where a newer request took this one's place. */
export async function array(name, values = {}, options = {}) {
  const answer = await asked(address(name, values), options);
  if (answer.status === 204) return null;
  const shape = answer.headers.get("X-Shape").split(",").map(Number);
  return { data: new Float32Array(await answer.arrayBuffer()), shape, headers: answer.headers };
}

/* One request at a time; of those that come meanwhile the last one follows. */
export class Newest {
  static number = Date.now() % 1e9 * 1000;  // larger than those of a page that was open before

  constructor(channel, failed) { Object.assign(this, { channel, failed, running: false, waiting: null, controller: null }); }

  get busy() { return this.running; }

  ask(name, values, done) {
    this.waiting = { name, values, done };
    if (!this.running) this.#next();
  }

  async #next() {
    const { name, values, done } = this.waiting;
    this.waiting = null;
    this.running = true;
    try {
      const found = await array(name, { ...values, channel: this.channel, number: ++Newest.number });
      this.running = false;
      if (found !== null) done(found);
    } catch (error) {
      this.running = false;
      this.failed(error);
    }
    if (this.waiting && !this.running) this.#next();
  }
}
