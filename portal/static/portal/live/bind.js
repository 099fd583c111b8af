// Binds frames to the page: fields, states, lists and regions to refresh. Text only, never HTML.

const REFRESH_MS = 250;

const words = (text) => (text ?? "").split(/[\s,]+/).filter(Boolean);
const topicsOf = (element) => words(element.dataset.liveTopic);
const read = (payload, path) => path.split(".").reduce((value, key) => value?.[key], payload);
const kindOf = (object) => object.slice(0, object.indexOf(":"));
const named = (object) => `[data-object="${CSS.escape(object)}"]`;

/** Every topic that the page asks for. */
export const topicsOnPage = () =>
  new Set([...document.querySelectorAll("[data-live-topic]")].flatMap(topicsOf));

/** Shows one frame of the feed. */
export function show(message) {
  if (message.type === "event") {
    if (message.kind.endsWith(".gone")) remove(message.object);
    else upsert(message.object, message.patch, message.topic);
    refresh((kinds) => kinds.includes(kindOf(message.object)));
    if (message.kind === "inventory.changed") refresh(() => true);
  } else if (message.type === "snapshot") {
    reconcile(message);
    for (const [object, payload] of Object.entries(message.objects))
      upsert(object, payload, message.topic);
    refresh(() => true);
  } else if (message.type === "changed") refresh(() => true);
}

function upsert(object, payload, topic) {
  for (const list of lists(kindOf(object), topic)) {
    const template = list.querySelector(":scope > template");
    if (!template || list.querySelector(`:scope > ${named(object)}`)) continue;
    const child = template.content.firstElementChild.cloneNode(true);
    child.dataset.object = object;
    list.append(child);
  }
  for (const element of document.querySelectorAll(named(object))) fill(element, payload);
}

function fill(root, payload) {
  const inner = root.querySelectorAll("[data-field],[data-field-time],[data-state-from]");
  for (const part of [root, ...inner]) {
    if (part !== root && part.closest("[data-object]") !== root) continue;
    const { field, fieldTime, stateFrom } = part.dataset;
    if (field) setText(part, read(payload, field) ?? "");
    if (fieldTime) part.setAttribute("datetime", read(payload, fieldTime) ?? "");
    if (stateFrom) part.dataset.state = read(payload, stateFrom) ?? "";
  }
}

function setText(element, value) {
  const text = String(value);
  if (element.textContent !== text) element.textContent = text;
}

function remove(object) {
  for (const element of document.querySelectorAll(`[data-list] > ${named(object)}`))
    element.remove();
}

// Of the kinds in which a snapshot is complete, what it does not name any more is gone.
function reconcile({ topic, kinds, objects }) {
  for (const list of kinds.flatMap((kind) => lists(kind, topic)))
    for (const child of list.querySelectorAll(":scope > [data-object]"))
      if (!(child.dataset.object in objects)) child.remove();
}

// A list follows the topics of the nearest element around it that names some, else the page's.
const lists = (kind, topic) =>
  [...document.querySelectorAll(`[data-list="${CSS.escape(kind)}"]`)].filter((list) => {
    const scope = list.closest("[data-live-topic]");
    return !scope || topicsOf(scope).includes(topic);
  });

const waiting = new WeakSet();

// One `refresh` per region and quarter second, whatever happens in between (hx-trigger="refresh").
function refresh(wants) {
  for (const region of document.querySelectorAll("[data-refresh-on]")) {
    if (waiting.has(region) || !wants(words(region.dataset.refreshOn))) continue;
    waiting.add(region);
    setTimeout(() => {
      waiting.delete(region);
      if (region.isConnected) region.dispatchEvent(new Event("refresh"));
    }, REFRESH_MS);
  }
}
