// The one script: it keeps the part of a request's page that moves up to date.
// All else works without it.
const spokenEvery = 10_000; // ms; a screen reader is not told of each batch

let asking = false, again = false, spokenAt = 0, stream;

// refresh asks for the page anew and takes the moving part of it, without
// closing what was opened or moving the focus.
async function refresh() {
  if (asking) {
    again = true;
    return;
  }
  asking = true;
  try {
    const answer = await fetch(location.pathname, { headers: { "Lethe-Live": "1" }, credentials: "same-origin", cache: "no-store" });
    if (answer.ok) take(new DOMParser().parseFromString(await answer.text(), "text/html"));
    else if (answer.status < 500) stream.close();
  } catch { /* the service is away: the stream comes back by itself */ }
  asking = false;
  if (again) {
    again = false;
    refresh();
  }
}

function take(page) {
  const now = page.querySelector("#live"), old = document.querySelector("#live");
  if (!now) return;
  const moved = now.dataset.status !== old.dataset.status;
  for (const d of old.querySelectorAll("details[id][open]")) now.querySelector("#" + CSS.escape(d.id))?.setAttribute("open", "");
  const focus = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  old.replaceWith(document.adoptNode(now));
  if (focus) [...now.querySelectorAll("a")].find((a) => a.getAttribute("href") === focus)?.focus();
  if (moved) {
    const actions = document.querySelector("#actions"), newer = page.querySelector("#actions");
    if (newer && !actions.contains(document.activeElement)) actions.replaceWith(document.adoptNode(newer));
  }
  if (moved || Date.now() - spokenAt > spokenEvery) {
    spokenAt = Date.now();
    document.querySelector("#spoken").textContent = now.querySelector(".status").textContent + ". " + (now.querySelector("#figures")?.textContent ?? "");
  }
}

const live = document.querySelector("#live:not([data-ended])");
if (live) {
  stream = new EventSource(live.dataset.events);
  stream.addEventListener("change", refresh);
  stream.addEventListener("end", () => stream.close());
}
