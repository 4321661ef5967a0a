"use strict";
(() => {
  const layers = JSON.parse(document.getElementById("layers").textContent);
  const heat = document.getElementById("heat");
  const panel = document.getElementById("panel");
  const details = document.getElementById("details");
  const store = "ablate:" + location.pathname;

  // What was chosen outlives a reload, where the browser lets a file remember anything.
  const remembered = () => { try { return JSON.parse(sessionStorage.getItem(store)) || {}; } catch { return {}; } };
  const remember = (change) => {
    try { sessionStorage.setItem(store, JSON.stringify({ ...remembered(), ...change })); } catch { /* private mode */ }
  };

  const article = (link) => document.getElementById(link.getAttribute("href").slice(1));
  let pinned = null;

  function paint(cell, [text, small, background, ink], missing) {
    cell.style.background = background;
    cell.style.color = ink;
    cell.querySelector(".value").textContent = text || missing;
    const below = cell.querySelector("small");
    if (below) below.textContent = small;
  }

  function choose(number) {
    const layer = layers[number];
    heat.querySelectorAll("a.cell").forEach((cell) => {
      cell.dataset.first = cell.dataset.first || cell.querySelector(".value").textContent;
      const without = ["failed", "missing", "not-judged", "pruned"].some((name) => cell.classList.contains(name));
      paint(cell, layer.cells[cell.dataset.at], without ? cell.dataset.first : "–");
    });
    heat.querySelectorAll("td.average .cell").forEach((cell, i) => paint(cell, layer.averages[i], "–"));
    document.getElementById("about").textContent = layer.about;
    document.getElementById("low").textContent = layer.low;
    document.getElementById("high").textContent = layer.high;
    document.getElementById("bar").style.background = `linear-gradient(to right, ${layer.gradient})`;
    remember({ layer: layer.key });
  }

  function show(link) {
    const found = article(link);
    if (panel.firstElementChild === found) return;
    while (panel.querySelector("article")) details.append(panel.querySelector("article"));
    panel.prepend(found);
    panel.scrollTop = 0;
    heat.querySelectorAll(".shown").forEach((cell) => cell.classList.remove("shown"));
    heat.querySelectorAll(`a[href="#${found.id}"]`).forEach((cell) => cell.classList.add("shown"));
  }

  function pin(link, move) {
    const same = pinned && pinned.getAttribute("href") === link.getAttribute("href");
    pinned = same ? null : link;
    show(link);
    document.getElementById("hint").hidden = Boolean(pinned);
    remember({ pinned: pinned && pinned.getAttribute("href") });
    if (pinned && move) panel.scrollIntoView({ block: "nearest" });
  }

  function walk(event) {
    const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    const step = steps[event.key];
    const from = document.activeElement.dataset.at;
    if (!step || from === undefined) return;
    event.preventDefault();
    const wide = heat.tBodies[0].rows.length;
    let [row, column] = [Math.floor(from / wide), from % wide];
    let next = null;
    while (!next) { // cells that are left out are passed over
      row += step[0];
      column += step[1];
      if (row < 0 || column < 0 || row >= wide || column >= wide) return;
      next = heat.querySelector(`a.cell[data-at="${row * wide + column}"]`);
    }
    heat.querySelectorAll("a.cell").forEach((cell) => { cell.tabIndex = cell === next ? 0 : -1; });
    next.focus();
  }

  function sort(button, list) {
    const heading = button.closest("th");
    const key = button.dataset.key;
    const up = heading.getAttribute("aria-sort") === (key === "number" ? "ascending" : "descending") ? 1 : -1;
    const direction = key === "number" ? -up : up;
    list.querySelectorAll("[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
    const rows = [...list.tBodies[0].rows];
    const value = (row) => (key in row.dataset ? Number(row.dataset[key]) : NaN);
    rows.sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y); // what is not known, last
      return direction * (x - y) || a.dataset.number - b.dataset.number;
    });
    list.tBodies[0].append(...rows);
  }

  document.documentElement.classList.add("scripted");
  const list = document.getElementById("list");
  list.querySelectorAll("button").forEach((button) => button.addEventListener("click", () => sort(button, list)));
  if (!heat) {
    document.documentElement.classList.remove("scripted"); // without a grid, every cell is shown below
    return;
  }
  panel.hidden = false;
  heat.querySelectorAll("a.cell").forEach((cell, i) => {
    cell.tabIndex = i ? -1 : 0;
    cell.addEventListener("mouseenter", () => { if (!pinned) show(cell); });
    cell.addEventListener("focus", () => { if (!pinned) show(cell); });
  });
  heat.addEventListener("keydown", walk);
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#cell-']");
    if (!link) return;
    event.preventDefault();
    pin(link, true);
  });
  document.querySelectorAll("input[name=layer]").forEach((input) => input.addEventListener("change", () => choose(Number(input.value))));

  const before = remembered();
  const number = layers.findIndex((layer) => layer.key === before.layer);
  if (number > 0) {
    document.querySelectorAll("input[name=layer]")[number].checked = true;
    choose(number);
  }
  const link = before.pinned && document.querySelector(`a[href="${before.pinned}"]`);
  if (link) pin(link, false);
  else if (panel.dataset.first) show(heat.querySelector(`a[href="#${panel.dataset.first}"]`));
  if (before.scroll) scrollTo(0, before.scroll);
  addEventListener("pagehide", () => remember({ scroll: scrollY }));
})();
