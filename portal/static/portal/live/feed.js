// The connection: one WebSocket per page, or the long poll where sockets do not come through.
// Keeps one cursor per topic and resumes from it; hands every frame to `listener`.

const PING_MS = 5000;
const SILENCE_MS = 10000; // a ping unanswered for so long: the socket is dead, whatever it says
const BACKOFF_MS = [500, 15000];
const FAILURES_BEFORE_POLLING = 3;
const POLLS_PER_SOCKET_ATTEMPT = 3;
const POLL_WAIT_SECONDS = 10;
const SIGNED_OUT = 4401;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class Feed {
  /** listener: {frame(message), state(name)}; `seq`: what the server-rendered page shows. */
  constructor(listener, seq) {
    this.listener = listener;
    this.initialSeq = seq;
    this.cursors = new Map(); // topic -> last seq seen, null: a snapshot is needed
    this.failures = 0;
    this.socket = null;
    this.offset = 0; // server clock minus this clock, ms
    this.behind = 0; // what the server says about itself, ms
    this.latency = 0; // of the newest frame, ms
    this.heardAt = -Infinity;
    this.pingedAt = 0;
    this.seq = seq ?? 0;
  }

  /** Follows exactly these topics from now on. */
  follow(topics) {
    for (const topic of this.cursors.keys()) if (!topics.has(topic)) this.#leave(topic);
    for (const topic of topics) {
      if (this.cursors.has(topic)) continue;
      this.cursors.set(topic, this.initialSeq);
      this.#subscribe(topic);
    }
  }

  /** Connects, and connects again for as long as the page lives. */
  async run() {
    for (;;) {
      let code = await this.#converse();
      const polling = code !== SIGNED_OUT && this.failures >= FAILURES_BEFORE_POLLING;
      if (polling) code = await this.#poll();
      if (code === SIGNED_OUT) return this.listener.state("signed-out");
      if (code === "polled") continue;
      this.listener.state("reconnecting");
      const ceiling = Math.min(BACKOFF_MS[1], BACKOFF_MS[0] * 2 ** this.failures);
      await pause(BACKOFF_MS[0] / 2 + Math.random() * ceiling);
    }
  }

  /** Milliseconds by which the page may be behind the database; Infinity before first contact. */
  behindMs() {
    const silence = Math.max(0, performance.now() - this.heardAt - PING_MS);
    return Math.max(this.latency, this.behind) + silence;
  }

  #leave(topic) {
    this.cursors.delete(topic);
    this.#send({ op: "unsub", topic });
  }

  #subscribe(topic) {
    this.#send({ op: "sub", topic, since_seq: this.cursors.get(topic) });
  }

  #send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  // One socket from opening to close; resolves to the close code.
  #converse() {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}/ws/live`);
    this.socket = socket;
    this.failures += 1; // taken back by the first frame
    this.pingedAt = performance.now();
    return new Promise((resolve) => {
      const finish = (code) => {
        clearInterval(heart);
        socket.onopen = socket.onmessage = socket.onclose = null;
        socket.close(); // does not wait: a dead peer never answers
        resolve(code);
      };
      const heart = setInterval(() => this.#beat(socket, finish), PING_MS);
      socket.onopen = () => {
        this.#ping();
        for (const topic of this.cursors.keys()) this.#subscribe(topic);
      };
      socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
      socket.onclose = ({ code }) => finish(code);
    });
  }

  #beat(socket, finish) {
    if (socket.readyState === WebSocket.OPEN && this.heardAt >= this.pingedAt) this.#ping();
    else if (performance.now() - this.pingedAt > SILENCE_MS) finish(0);
  }

  #ping() {
    this.pingedAt = performance.now();
    this.#send({ op: "ping" });
  }

  #receive(message) {
    this.heardAt = performance.now();
    this.failures = 0;
    if (message.type === "ack?") return this.#send({ op: "ack", seq: message.seq });
    if (message.type === "pong" || message.type === "ping") this.#clock(message);
    else this.#take(message);
    this.listener.state("live");
  }

  #clock(message) {
    if (message.type === "pong") {
      const way = (this.heardAt - this.pingedAt) / 2;
      this.offset = Date.parse(message.at) + way - Date.now();
    }
    this.behind = message.behind_seconds * 1000;
    this.latency = 0;
    this.#reach(message.seq);
  }

  #take(message) {
    // Too many changes to tell one by one: a snapshot (or the page itself) tells them all.
    const startOver = message.type === "reset" || message.kind === "inventory.changed";
    if (!this.cursors.has(message.topic)) return;
    if (message.type !== "error") this.cursors.set(message.topic, startOver ? null : message.seq);
    if (message.at) this.latency = Math.max(0, Date.now() + this.offset - Date.parse(message.at));
    this.#reach(message.seq);
    this.listener.frame(message);
    if (startOver) this.#subscribe(message.topic);
  }

  #reach(seq) {
    this.seq = Math.max(this.seq, seq ?? 0);
  }

  // A few long polls, then the socket gets another chance.
  async #poll() {
    for (let round = 0; round < POLLS_PER_SOCKET_ATTEMPT; round += 1) {
      const answer = await this.#ask();
      if (answer === null || answer === SIGNED_OUT) return answer;
      this.heardAt = performance.now();
      this.#answered(answer);
      this.listener.state("polling");
      await pause(100);
    }
    return "polled";
  }

  async #ask() {
    const query = new URLSearchParams({ wait: POLL_WAIT_SECONDS });
    const seen = [...this.cursors.values()];
    if (!seen.includes(null)) query.set("after", Math.min(...seen));
    for (const topic of this.cursors.keys()) query.append("topic", topic);
    try {
      const response = await fetch(`/api/v1/events?${query}`, {
        signal: AbortSignal.timeout((POLL_WAIT_SECONDS + 10) * 1000),
      });
      if (response.status === 401) return SIGNED_OUT;
      return response.ok ? await response.json() : null;
    } catch {
      return null;
    }
  }

  // Without a socket there are no snapshots: after a gap the page is asked for again instead.
  #answered({ events, seq, reset }) {
    const gap = reset || [...this.cursors.values()].includes(null);
    for (const message of events) this.#take(message);
    this.behind = this.latency = 0;
    for (const topic of this.cursors.keys()) {
      this.cursors.set(topic, seq);
      if (gap) this.listener.frame({ type: "changed", topic, seq });
    }
    this.#reach(seq);
  }
}
