// The console is complete without this. With it: pages with running work exchange what is new by themselves, a form is
// sent once however often its button is pressed, and what a file is called is said before it is sent.
(() => {
  "use strict";

  // A form is sent once. (What is sent twice all the same is done once: its key is in it.)
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post") return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "yes";
    for (const button of form.querySelectorAll("button")) setTimeout(() => { button.disabled = true; }, 0);
  });
  // Back from the browser's memory: the form can be sent again.
  window.addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    for (const form of document.querySelectorAll("form[data-sent]")) {
      delete form.dataset.sent;
      for (const button of form.querySelectorAll("button")) button.disabled = false;
    }
  });

  // Fields that only one choice needs.
  const conditional = document.querySelectorAll("[data-when]");
  const showConditional = () => {
    for (const one of conditional) {
      const [name, ...wanted] = one.dataset.when.split(" ");
      const chosen = document.querySelector(`input[name="${name}"]:checked, select[name="${name}"]`);
      one.hidden = !(chosen && wanted.includes(chosen.value));
    }
  };
  if (conditional.length) { document.addEventListener("change", showConditional); showConditional(); }

  // What is `data-live` is exchanged for what the server makes of it now.
  const live = document.querySelector("[data-live-from]");
  if (!live || !window.EventSource) return;
  const state = document.querySelector("[data-live-state]");
  const say = (text) => { if (state && state.textContent !== text) state.textContent = text; };
  let busy = false, again = false;
  const exchange = async () => {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const answer = await fetch(location.href, { credentials: "same-origin", headers: { "X-Live": "1" } });
      if (!answer.ok || answer.redirected) { location.reload(); return; }
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const old of document.querySelectorAll("[data-live]")) {
        const next = fresh.getElementById(old.id);
        if (!next || old.innerHTML === next.innerHTML) continue;
        // Whoever is in the middle of it is not disturbed.
        if (old.contains(document.activeElement) && document.activeElement !== document.body) {
          say("There is something new: refresh to see it."); continue;
        }
        old.replaceWith(document.importNode(next, true));
        document.getElementById(next.id)?.classList.add("flash");
      }
    } catch { say("The connection was lost; it is tried again."); }
    finally { busy = false; if (again) { again = false; exchange(); } }
  };
  const source = new EventSource(live.dataset.liveFrom);
  source.addEventListener("ready", () => say("This page refreshes itself."));
  source.addEventListener("changed", () => { say("This page refreshes itself."); exchange(); });
  source.addEventListener("ended", () => { source.close(); location.reload(); });
  source.addEventListener("error", () => say(source.readyState === EventSource.CLOSED
    ? "This page does not refresh itself just now: load it again to see what is new."
    : "The connection was lost; it is tried again."));
  window.addEventListener("pagehide", () => source.close());
})();
