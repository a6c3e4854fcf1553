"use strict";
// Pictures are drawn already. Where scripts run, a chart that answers the mouse takes the place of
// each on the screen; the picture is kept for print.
(() => {
  const specs = JSON.parse(document.getElementById("charts").textContent);
  const options = {
    renderer: "svg",
    actions: false,
    ast: true,
    defaultStyle: false,
    tooltip: { theme: "custom" },
  };

  async function draw(place) {
    const still = place.querySelector("img");
    const live = document.createElement("div");
    live.className = "live";
    live.setAttribute("role", "img");
    live.setAttribute("aria-label", still.alt);
    place.append(live);
    try {
      await vegaEmbed(live, specs[place.dataset.chart], options);
      place.dataset.live = "";
    } catch (error) {
      live.remove();
      place.dataset.error = String(error);
    }
  }

  function compare(first, second) {
    const a = first.dataset.sort;
    const b = second.dataset.sort;
    if (a === "" || b === "") return a === b ? 0 : a === "" ? 1 : -1;
    const [x, y] = [Number(a), Number(b)];
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y;
  }

  function sortable(table) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, place) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const rows = [...table.tBodies[0].rows];
        rows.sort((a, b) => (up ? 1 : -1) * compare(a.cells[place], b.cells[place]));
        table.tBodies[0].append(...rows);
      });
    });
  }

  document.querySelectorAll("table.sortable").forEach(sortable);
  Promise.all([...document.querySelectorAll("[data-chart]")].map(draw)).then(() => {
    document.documentElement.dataset.drawn = "yes";
  });
})();
