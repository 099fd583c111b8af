// Binds frames to the page: fields, lists, refreshed regions, relative times. Text only, no HTML.

const REFRESH_MS = 250;

const read = (payload, path) => path.split(".").reduce((value, key) => value?.[key], payload);
const kindOf = (object) => object.slice(0, object.indexOf(":"));
const withObject = (object) =>
  document.querySelectorAll(`[data-object="${CSS.escape(object)}"]`);

const words = (text) => (text ?? "").split(/[\s,]+/).filter(Boolean);
const topicsOf = (element) => words(element.dataset.liveTopic);

/** Every topic that the page asks for. */
export const topicsOnPage = () =>
  new Set([...document.querySelectorAll("[data-live-topic]")].flatMap(topicsOf));

/** Shows one frame of the feed. */
export function show(message) {
  if (message.type === "event") {
    if (message.kind.endsWith(".gone")) remove(message.object);
    else upsert(message.object, message.patch, message.topic);
    refresh((kinds) => kinds.includes(kindOf(message.object)));
  } else if (message.type === "snapshot") {
    reconcile(message);
    for (const [object, payload] of Object.entries(message.objects))
      upsert(object, payload, message.topic);
    refresh(() => true);
  } else if (message.type === "changed") refresh(() => true);
}

/** "12 s ago" in every element with `data-time` (ISO 8601), by the server's clock. */
export function tellTimes(serverNow) {
  for (const element of document.querySelectorAll("[data-time]")) {
    const age = Math.max(0, (serverNow - Date.parse(element.dataset.time)) / 1000);
    setText(element, Number.isNaN(age) ? "" : ago(age));
  }
}

function ago(seconds) {
  if (seconds < 5) return "just now";
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} d ago`;
}

function upsert(object, payload, topic) {
  for (const list of lists(kindOf(object), topic)) {
    if (list.querySelector(`[data-object="${CSS.escape(object)}"]`)) continue;
    const template = list.querySelector(":scope > template");
    if (!template) continue;
    const child = template.content.firstElementChild.cloneNode(true);
    child.dataset.object = object;
    list.append(child);
  }
  for (const element of withObject(object)) fill(element, payload);
}

function fill(root, payload) {
  const parts = [root, ...root.querySelectorAll("[data-field],[data-field-time],[data-state-from]")];
  for (const part of parts) {
    if (part !== root && part.closest("[data-object]") !== root) continue;
    const { field, fieldTime, stateFrom } = part.dataset;
    if (field) setText(part, read(payload, field) ?? "");
    if (fieldTime) part.dataset.time = read(payload, fieldTime) ?? "";
    if (stateFrom) part.dataset.state = read(payload, stateFrom) ?? "";
  }
}

function setText(element, value) {
  const text = String(value);
  if (element.textContent !== text) element.textContent = text;
}

function remove(object) {
  for (const element of withObject(object))
    if (element.parentElement?.matches("[data-list]")) element.remove();
}

// Of the kinds in which a snapshot is complete, what it does not name any more is gone.
function reconcile({ topic, kinds, objects }) {
  for (const list of kinds.flatMap((kind) => lists(kind, topic)))
    for (const child of list.querySelectorAll(":scope > [data-object]"))
      if (!(child.dataset.object in objects)) child.remove();
}

const lists = (kind, topic) =>
  [...document.querySelectorAll(`[data-list="${CSS.escape(kind)}"]`)].filter((list) =>
    belongs(list, topic),
  );

// A list follows the topics of the nearest element that names some.
const belongs = (list, topic) =>
  topicsOf(list.closest("[data-live-topic]") ?? document.body).includes(topic);

const waiting = new WeakMap();

// Debounced per region; htmx drops an answer that a newer request overtook (hx-sync replace).
function refresh(wants) {
  for (const region of document.querySelectorAll("[data-refresh-on][hx-get]")) {
    if (waiting.has(region) || !wants(words(region.dataset.refreshOn))) continue;
    const fetchAgain = () => {
      waiting.delete(region);
      if (region.isConnected) refetch(region);
    };
    waiting.set(region, setTimeout(fetchAgain, REFRESH_MS));
  }
}

function refetch(region) {
  const htmx = window.htmx;
  if (!htmx) return;
  if (!region.hasAttribute("hx-sync")) region.setAttribute("hx-sync", "this:replace");
  const target = region.getAttribute("hx-target");
  htmx.ajax("GET", region.getAttribute("hx-get"), {
    source: region,
    target: !target || target === "this" ? region : target,
    swap: region.getAttribute("hx-swap") ?? "innerHTML",
  });
}
