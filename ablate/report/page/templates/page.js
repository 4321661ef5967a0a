"use strict";
(() => {
  const layers = JSON.parse(document.getElementById("layers").textContent);
  const heat = document.getElementById("heat");
  const list = document.getElementById("list");
  const panel = document.getElementById("panel");
  const details = document.getElementById("details");
  const store = "ablate:" + location.pathname;

  // What was chosen outlives a reload, where the browser lets a file remember anything.
  const remembered = () => { try { return JSON.parse(sessionStorage.getItem(store)) || {}; } catch { return {}; } };
  const remember = (change) => {
    try { sessionStorage.setItem(store, JSON.stringify({ ...remembered(), ...change })); } catch { /* private mode */ }
  };

  const articleOf = (hash) => {
    let id = hash.slice(1);
    try { id = decodeURIComponent(id); } catch { /* it is no address of ours */ }
    const found = document.getElementById(id);
    return found && found.tagName === "ARTICLE" ? found : null;
  };
  const hashOf = (link) => link.getAttribute("href");
  const sources = [...(heat ? heat.querySelectorAll("a.cell") : list.querySelectorAll("tbody a"))];
  let pinned = null; // the article that the address names

  function paint(cell, [text, small, background, ink, marks], missing) {
    cell.style.background = background;
    cell.style.color = ink;
    cell.querySelector(".value").textContent = text || missing;
    const below = cell.querySelector("small");
    if (below) below.textContent = small;
    cell.querySelectorAll("[data-mark]").forEach((mark) => { mark.hidden = !marks.includes(mark.dataset.mark); });
  }

  function choose(number) {
    const layer = layers[number];
    heat.classList.toggle("other", layer.key !== "accuracy");
    heat.querySelectorAll("a.cell").forEach((cell) => {
      cell.dataset.first = cell.dataset.first || cell.querySelector(".value").textContent;
      const without = ["failed", "missing", "not-judged", "pruned"].some((name) => cell.classList.contains(name));
      paint(cell, layer.cells[cell.dataset.at], without ? cell.dataset.first : "–");
    });
    heat.querySelectorAll("td.average .cell").forEach((cell, i) => paint(cell, layer.averages[i], "–"));
    document.getElementById("about").textContent = layer.about;
    document.getElementById("shown-name").textContent = layer.name;
    const legends = [...document.querySelectorAll("[data-legend]")];
    const legend = legends.find((each) => each.dataset.legend === layer.key) || legends[0];
    legends.forEach((each) => { each.hidden = each !== legend; });
    document.getElementById("low").textContent = layer.low;
    document.getElementById("high").textContent = layer.high;
    document.getElementById("bar").style.background = `linear-gradient(to right, ${layer.gradient})`;
    const floor = document.getElementById("floor");
    floor.hidden = !layer.mark.text;
    floor.style.left = `${layer.mark.at}%`;
    document.getElementById("floor-name").textContent = layer.mark.text;
    remember({ layer: layer.key });
  }

  function show(article) {
    if (!article || panel.firstElementChild === article) return;
    while (panel.querySelector("article")) details.append(panel.querySelector("article"));
    panel.prepend(article);
    panel.scrollTop = 0;
    sources.forEach((link) => link.classList.toggle("shown", hashOf(link) === `#${article.id}`));
    look();
  }

  // The address says which cell is kept: a link to it can be sent, and the back button goes to the one before.
  function follow(move) {
    pinned = articleOf(location.hash);
    show(pinned);
    document.getElementById("hint").hidden = Boolean(pinned);
    if (pinned && move) panel.scrollIntoView({ block: "nearest" });
  }

  function go(link) {
    const hash = pinned && `#${pinned.id}` === hashOf(link) ? "" : hashOf(link);
    history.pushState(null, "", hash || location.href.split("#")[0]);
    follow(true);
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

  function sort(button) {
    const heading = button.closest("th");
    const key = button.dataset.key;
    const first = key === "name" ? "ascending" : "descending";
    const other = key === "name" ? "descending" : "ascending";
    const now = heading.getAttribute("aria-sort") === first ? other : first;
    list.querySelectorAll("[aria-sort]").forEach((before) => before.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", now);
    const direction = now === "ascending" ? 1 : -1;
    const value = (row) => (key in row.dataset ? Number(row.dataset[key]) : NaN);
    const name = (row) => row.querySelector("a").textContent;
    for (const body of list.tBodies) { // references stay below the line
      const rows = [...body.rows];
      rows.sort((a, b) => {
        if (key === "name") return direction * name(a).localeCompare(name(b));
        const [x, y] = [value(a), value(b)];
        if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y); // what is not known, last
        return direction * (x - y) || a.dataset.number - b.dataset.number;
      });
      body.append(...rows);
    }
  }

  // Whatever is wider than its place says so. Tab stops where there is something to scroll, and only there.
  function look() {
    document.querySelectorAll(".scroll").forEach((box) => {
      const wide = box.scrollWidth > box.clientWidth + 1;
      box.classList.toggle("wide", wide);
      box.classList.toggle("ended", box.scrollLeft + box.clientWidth >= box.scrollWidth - 2);
      box.tabIndex = wide ? 0 : -1;
    });
    panel.tabIndex = panel.scrollHeight > panel.clientHeight + 1 ? 0 : -1;
  }

  // The page of a running sweep is loaded again by itself, unless its reader has switched that off.
  function again(box) {
    let timer = null;
    const wait = () => {
      clearTimeout(timer);
      if (box.checked) timer = setTimeout(() => location.reload(), 1000 * box.dataset.seconds);
    };
    box.checked = remembered().refresh !== false;
    box.addEventListener("change", () => { remember({ refresh: box.checked }); wait(); });
    wait();
  }

  document.documentElement.classList.add("scripted");
  panel.hidden = false;
  list.querySelectorAll("button").forEach((button) => button.addEventListener("click", () => sort(button)));
  sources.forEach((link, i) => {
    if (heat) link.tabIndex = i ? -1 : 0;
    const glance = () => { if (!pinned) show(articleOf(hashOf(link))); };
    link.addEventListener("mouseenter", glance);
    link.addEventListener("focus", glance);
  });
  if (heat) heat.addEventListener("keydown", walk);
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    if (!link || !articleOf(hashOf(link)) || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    go(link);
  });
  addEventListener("popstate", () => follow(false));
  addEventListener("resize", look);
  document.querySelectorAll(".scroll").forEach((box) => box.addEventListener("scroll", look));
  document.querySelectorAll("input[name=layer]").forEach((input) => input.addEventListener("change", () => choose(Number(input.value))));

  const refresh = document.getElementById("refresh");
  if (refresh) again(refresh);

  const before = remembered();
  const number = layers.findIndex((layer) => layer.key === before.layer);
  if (heat && number > 0) {
    document.querySelectorAll("input[name=layer]")[number].checked = true;
    choose(number);
  }
  show(articleOf(`#${panel.dataset.first}`) || details.querySelector("article"));
  follow(false);
  look();
  if (before.scroll) scrollTo(0, before.scroll);
  else if (pinned) panel.scrollIntoView({ block: "nearest" });
  addEventListener("pagehide", () => remember({ scroll: scrollY }));
})();
