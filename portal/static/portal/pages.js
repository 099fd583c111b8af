/* Comforts of the pages: keyboard, dialogs, ages that move, calm swaps. Everything works without. */

const GO = { f: "/", c: "/clusters/", s: "/services/", r: "/rollouts/", a: "/audit/" };
const GO_MILLISECONDS = 1500;
const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

const ask = document.querySelector("[data-ask]");
const help = document.querySelector("[data-help]");

/* --- Keyboard ------------------------------------------------------------------------------ */
let goUntil = 0;

function typing(target) {
  return target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  if (ask?.open || help?.open) return;
  if (event.key === "/") {
    event.preventDefault();
    document.querySelector("[data-search]")?.focus();
  } else if (event.key === "?") {
    event.preventDefault();
    help?.showModal();
  } else if (Date.now() < goUntil && GO[event.key]) {
    location.assign(GO[event.key]);
  } else {
    goUntil = event.key === "g" ? Date.now() + GO_MILLISECONDS : 0;
  }
});

/* --- Dialogs: a link to a confirmation page opens it in place -------------------------------- */
document.addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  const link = event.target.closest("a[data-ask-link]");
  if (link && ask && window.htmx) {
    event.preventDefault();
    openAsk(link.href);
  } else if (event.target.closest("[data-close]") && ask?.open) {
    event.preventDefault();
    ask.close();
  } else if (event.target.closest('[aria-disabled="true"]')) {
    event.preventDefault();
  }
});

async function openAsk(url) {
  try {
    const answer = await fetch(url, { headers: { "HX-Request": "true" } });
    if (!answer.ok || answer.redirected || answer.headers.has("HX-Redirect")) throw answer;
    document.getElementById("ask-body").innerHTML = await answer.text();
    ask.setAttribute("aria-label", ask.querySelector("h2")?.textContent ?? "Confirm");
    ask.showModal();
    holdUntilNamed(ask);
  } catch {
    location.assign(url); // the page of its own says what is wrong
  }
}

/* A dangerous button opens only when the name has been typed; the server checks it again. */
function holdUntilNamed(root) {
  const field = root.querySelector("[data-must-be]");
  const button = field?.form.querySelector("button.primary");
  if (!field || !button) return;
  const check = () => { button.disabled = field.value !== field.dataset.mustBe; };
  field.addEventListener("input", check);
  check();
}

holdUntilNamed(document.getElementById("main") ?? document.body);

/* The plan of a release follows the choice; without scripts the button does it. */
document.addEventListener("change", (event) => {
  const plan = event.target.closest("form[data-plan]");
  if (plan && ["release", "placements"].includes(event.target.name)) {
    plan.requestSubmit(plan.querySelector("[data-look]"));
  }
});

/* Clicks beside an open menu close it. */
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details[data-menu][open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

/* --- Swaps ----------------------------------------------------------------------------------- */
/* A part that did not change is left alone: focus, selection and open details stay. */
const AGES = /(<(?:time|span) [^>]*(?:data-ago|data-since)[^>]*>)[^<]*/g;
const shape = (part) => part.innerHTML.replace(AGES, "$1");

document.addEventListener("htmx:oobBeforeSwap", (event) => {
  const { target, fragment } = event.detail;
  const fresh = fragment?.querySelector?.(`#${CSS.escape(target.id)}`);
  if (!fresh) return;
  if (shape(fresh) === shape(target)) event.detail.shouldSwap = false;
  else if (target.matches("select")) keepChoice(target, fresh);
});

/* What a person chose stays chosen while the list around it changes. */
function keepChoice(before, after) {
  if (document.activeElement === before || before.dataset.chosen) {
    const same = [...after.options].find((option) => option.value === before.value);
    if (same) for (const option of after.options) option.toggleAttribute("selected", option === same);
    after.dataset.chosen = before.dataset.chosen ?? "";
  }
}

document.addEventListener("change", (event) => {
  if (event.target.id === "log-pod") event.target.dataset.chosen = "yes";
});

/* --- Ages ------------------------------------------------------------------------------------- */
function duration(seconds) {
  const [size, unit] = UNITS.find(([size]) => seconds >= size) ?? [1, "s"];
  return `${Math.max(0, Math.floor(seconds / size))} ${unit}`;
}

function age(time) {
  const seconds = (Date.now() - Date.parse(time.dateTime)) / 1000;
  if (Math.abs(seconds) < 1) return "now";
  return seconds > 0 ? `${duration(seconds)} ago` : `in ${duration(-seconds)}`;
}

setInterval(() => {
  if (document.hidden) return;
  for (const time of document.querySelectorAll("time[data-ago]")) {
    const text = age(time);
    if (time.textContent !== text) time.textContent = text;
  }
  for (const span of document.querySelectorAll("[data-since]")) {
    span.textContent = duration((Date.now() - Date.parse(span.dataset.since)) / 1000);
  }
}, 1000);
