// Keeps the page current by what its markup asks for:
//   data-live-topic="placement:1 rollout:2"   topics to follow
//   data-object="rollout:2"                   shows this object; inside it
//     data-field="release.version"              its text, data-field-time a <time>'s datetime,
//     data-state-from="state"                   its data-state
//   data-list="pod" with a <template>         children data-object="pod:…" come and go
//   data-refresh-on="rollout,pod"             gets `refresh` (hx-trigger) when such a thing changed
//   data-live-dot                             word, seq and lag of the connection
import { show, topicsOnPage } from "./live/bind.js";
import { Feed } from "./live/feed.js";

const STALE_MS = 30000;
const DEAD_MS = 120000;
const TICK_MS = 1000;
const WORDS = {
  connecting: "Connecting",
  live: "Live",
  polling: "Live by polling",
  reconnecting: "Reconnecting",
  "signed-out": "Signed out",
};

let state = "connecting";

const feed = new Feed(
  {
    frame: show,
    state(name) {
      if (name === state) return;
      state = name;
      tell();
    },
  },
  seqOfPage(),
);

function seqOfPage() {
  const seq = Number.parseInt(document.body.dataset.liveSeq ?? "", 10);
  return Number.isNaN(seq) ? null : seq;
}

// The dot never shows the page fresher than it is: red when it may be old, grey when it is dead.
function level(behind) {
  if (state === "signed-out" || behind > DEAD_MS) return state === "connecting" ? state : "dead";
  return behind > STALE_MS ? "stale" : state;
}

function tell() {
  const behind = feed.behindMs();
  const texts = {
    "[data-live-word]": WORDS[state],
    "[data-live-seq]": feed.seq ? `seq ${feed.seq}` : "",
    "[data-live-lag]": behind === Infinity ? "" : `${(behind / 1000).toFixed(1)} s behind`,
  };
  for (const dot of document.querySelectorAll("[data-live-dot]")) {
    dot.dataset.state = level(behind);
    for (const [place, text] of Object.entries(texts)) {
      const element = dot.querySelector(place);
      if (element && element.textContent !== text) element.textContent = text;
    }
  }
}

const followPage = () => feed.follow(topicsOnPage());

document.addEventListener("htmx:afterSettle", followPage);
document.addEventListener("htmx:oobAfterSwap", followPage);
followPage();
if (topicsOnPage().size > 0) {
  feed.run();
  setInterval(tell, TICK_MS);
  tell();
}
