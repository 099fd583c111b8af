// Keeps the page current. Markup: docs/architecture.md, "Live pages".
import { show, tellTimes, topicsOnPage } from "./live/bind.js";
import { Feed } from "./live/feed.js";

const STALE_MS = 30000;
const TICK_MS = 1000;
const WORDS = {
  connecting: "connecting",
  live: "live",
  polling: "live (polling)",
  reconnecting: "reconnecting",
  "signed-out": "signed out",
};

let state = "connecting";
const seq = Number.parseInt(document.body.dataset.liveSeq ?? "", 10);
const feed = new Feed(
  {
    frame: show,
    state(name) {
      if (name === state) return;
      state = name;
      tell();
    },
  },
  Number.isNaN(seq) ? null : seq,
);

// The dot says how far behind the page may be: never better than it is.
function tell() {
  const behind = feed.behindMs();
  const level = behind > STALE_MS ? "stale" : state;
  const seconds = behind === Infinity ? "" : `${(behind / 1000).toFixed(1)} s behind`;
  for (const dot of document.querySelectorAll("[data-live-dot]")) {
    dot.dataset.state = level;
    dot.title = `seq ${feed.seq}`;
    const word = dot.querySelector("[data-live-word]") ?? dot;
    const text = word === dot && seconds ? `${WORDS[state]}, ${seconds}` : WORDS[state];
    if (word.textContent !== text) word.textContent = text;
    const place = dot.querySelector("[data-live-seq]");
    if (place && feed.seq) place.textContent = `seq ${feed.seq.toLocaleString("en").replaceAll(",", "\u00a0")} `;
    const lag = dot.querySelector("[data-live-lag]");
    if (lag && lag.textContent !== seconds) lag.textContent = seconds;
  }
  tellTimes(Date.now() + feed.offset);
}

const followPage = () => feed.follow(topicsOnPage());

if (matchMedia("(prefers-reduced-motion: reduce)").matches)
  document.documentElement.dataset.motion = "reduced";
document.addEventListener("htmx:afterSettle", () => {
  followPage();
  tell();
});
followPage();
if (topicsOnPage().size > 0 || document.querySelector("[data-live-dot]")) feed.run();
setInterval(tell, TICK_MS);
tell();
