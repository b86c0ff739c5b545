// Keeps a page fresh, and its answers dead for a second whenever they have
// come, moved, or come back into sight. Without this script everything works
// but does not move by itself.
"use strict";
(() => {
  const deadTime = 1000;
  const pages = new DOMParser();
  let timer = 0;

  // hush makes every answer dead for a second.
  const hush = () => {
    for (const b of document.querySelectorAll("[data-answer]")) b.disabled = true;
    clearTimeout(timer);
    timer = setTimeout(() => {
      for (const b of document.querySelectorAll("[data-answer]")) b.disabled = false;
    }, deadTime + 50);
  };

  const lost = () => { document.getElementById("lost").hidden = false; };

  // busy: the user is at work in a part that must not be replaced.
  const busy = (part) => part.contains(document.activeElement) && document.activeElement.matches("input, select");

  // text is what a part says, without what changes by the clock alone.
  const text = (part) => {
    const copy = part.cloneNode(true);
    for (const t of copy.querySelectorAll("time")) t.textContent = "";
    for (const b of copy.querySelectorAll("[data-answer]")) b.removeAttribute("disabled");
    return copy.innerHTML;
  };

  // put replaces a part and keeps the focus where it was.
  const put = (old, part) => {
    const focus = document.activeElement;
    const places = (root) => [...root.querySelectorAll("a, button, input, select")];
    const at = old.contains(focus) ? places(old).indexOf(focus) : -1;
    const label = at < 0 ? "" : focus.textContent;
    const answers = old.querySelector("[data-answer]") || part.querySelector("[data-answer]");
    old.replaceWith(part);
    const next = at < 0 ? null : places(part)[at];
    if (next && next.textContent === label && !next.matches("[data-answer]")) next.focus();
    if (answers) hush();
  };

  let looking = false, again = false;
  const look = async () => {
    if (looking) { again = true; return; }
    looking = true;
    try {
      const answer = await fetch(location.href, { headers: { "Consentry-Refresh": "1" } });
      if (answer.status === 401) { lost(); return; }
      if (!answer.ok) return;
      const fresh = pages.parseFromString(await answer.text(), "text/html");
      document.title = fresh.title;
      for (const old of document.querySelectorAll("[data-live]")) {
        const part = fresh.querySelector(`[data-live="${old.dataset.live}"]`);
        if (!part || busy(old)) continue;
        if (text(old) !== text(part)) { put(old, document.adoptNode(part)); continue; }
        const times = part.querySelectorAll("time");
        old.querySelectorAll("time").forEach((t, i) => { t.textContent = times[i].textContent; });
      }
    } catch { lost(); } finally {
      looking = false;
      if (again) { again = false; look(); }
    }
  };

  hush();
  addEventListener("focus", hush);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) { hush(); look(); } });

  const every = Number(document.body.dataset.every);
  if (every) setInterval(() => { if (!document.hidden) look(); }, every * 1000);

  const news = new EventSource(document.body.dataset.base + "news");
  news.onmessage = look; // the first one comes at once: what changed while the page came is seen
  news.onerror = () => { if (news.readyState === EventSource.CLOSED) lost(); };
})();
