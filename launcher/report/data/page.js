"use strict";
// Filters the items of a report, opens what an address points at, copies command lines.
// Without it everything is shown, failures first, and every part opens by itself.
(() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const bar = document.querySelector(".filters");
  const items = all("[data-item]");
  const search = bar && bar.querySelector("input");
  const selects = all(".filters select");
  const verdicts = all(".filters button[data-verdict]");
  const texts = new Map();

  const words = (item, name) => (item.getAttribute("data-" + name) || "").split("\n");
  const text = (item) => {
    if (!texts.has(item)) texts.set(item, item.textContent.toLowerCase());
    return texts.get(item);
  };

  const filter = () => {
    const typed = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const pressed = verdicts.filter((b) => b.getAttribute("aria-pressed") === "true");
    let shown = 0;
    for (const item of items) {
      const visible =
        (!pressed.length ||
          pressed.some((b) => words(item, "verdicts").includes(b.dataset.verdict))) &&
        selects.every((s) => !s.value || words(item, s.name).includes(s.value)) &&
        typed.every((word) => text(item).includes(word));
      item.hidden = !visible;
      shown += visible;
    }
    for (const section of all("section[data-section]"))
      section.hidden = !section.querySelector("[data-item]:not([hidden])");
    bar.querySelector("output").textContent = shown + " of " + items.length;
    document.querySelector(".empty").hidden = shown > 0;
  };

  const reset = () => {
    search.value = "";
    for (const select of selects) select.value = "";
    for (const button of verdicts) button.setAttribute("aria-pressed", "false");
    filter();
  };

  const arrive = () => {
    let id = location.hash.slice(1);
    try { id = decodeURIComponent(id); } catch { return; }
    const target = id && document.getElementById(id);
    if (!target) return;
    if (target.closest("[hidden]")) reset();
    for (let one = target; one; one = one.parentElement)
      if (one.tagName === "DETAILS") one.open = true;
    target.scrollIntoView();
  };

  const copy = async (button) => {
    const block = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(block.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(block);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  };

  for (const button of all("button[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", () => copy(button));
  }
  if (bar) {
    bar.hidden = false;
    for (const button of verdicts)
      button.addEventListener("click", () => {
        const on = button.getAttribute("aria-pressed") === "true";
        button.setAttribute("aria-pressed", String(!on));
        filter();
      });
    for (const one of [search, ...selects]) one.addEventListener("input", filter);
    bar.querySelector("button[data-reset]").addEventListener("click", reset);
    document.addEventListener("keydown", (event) => {
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
      if (/INPUT|SELECT|TEXTAREA/.test(document.activeElement.tagName)) return;
      event.preventDefault();
      search.focus();
    });
    filter();
  }
  addEventListener("hashchange", arrive);
  addEventListener("beforeprint", () => {
    for (const one of all("details[data-print]")) one.open = true;
  });
  arrive();
})();
