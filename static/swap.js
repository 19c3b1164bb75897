// Parts of a page taken from a fresh copy of them, by id. The keyboard stays where it was, what was open stays open.
const FOCUSABLE = "a[href], button, input, select, textarea, summary, [tabindex]";
const within = (part, what) => [...part.querySelectorAll(what)];

export function swap(html, ids) {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  for (const id of ids) {
    const old = document.getElementById(id), made = fresh.getElementById(id);
    if (!old || !made) continue;
    const focused = within(old, FOCUSABLE).indexOf(document.activeElement);
    const opened = within(old, "details").map((one) => one.open);
    old.replaceWith(document.adoptNode(made));
    within(made, "details").forEach((one, place) => { one.open ||= opened[place] ?? false; });
    if (focused >= 0) within(made, FOCUSABLE)[focused]?.focus({ preventScroll: true });
  }
  return fresh;
}
