// Keeps a page up to date: counters, album cards, and pictures as they arrive.
"use strict";
(() => {
  const { album } = document.body.dataset;
  let have = Number(document.body.dataset.have);
  const grid = document.getElementById("grid");
  const albums = document.getElementById("albums");

  const element = (tag, properties, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };

  const tile = (item) => {
    const inside = item.source
      ? element("img", { src: item.source, alt: item.name, loading: "lazy" })
      : element("span", { className: "type", textContent: item.type });
    const caption = element("figcaption", { textContent: item.name });
    return element("figure", { title: item.title, className: "new" }, inside, caption);
  };

  const card = (shown) => {
    let found = document.getElementById(shown.id);
    if (!found) {
      found = element("a", { className: "album", id: shown.id, href: `/album/${shown.id}` },
        element("span", { className: "cover" }), element("b", { textContent: shown.title }),
        element("span"));
      albums.append(found);
    }
    found.lastElementChild.textContent = shown.count;
    const cover = found.firstElementChild;
    if (shown.cover && !cover.firstElementChild) {
      cover.append(element("img", { src: shown.cover, alt: "" }));
    }
  };

  const update = async () => {
    const answer = await fetch(`/live.json?album=${encodeURIComponent(album)}&have=${have}`);
    if (!answer.ok) return;
    const { counters, albums: all, items } = await answer.json();
    for (const [name, text] of Object.entries(counters)) {
      document.getElementById(name).textContent = text;
    }
    if (albums) all.forEach(card);
    have += items.length;
    // An album shows its own order, the overview the newest first; neither grows for ever.
    for (const item of items) {
      if (!album) grid.prepend(tile(item));
      else if (grid.children.length < 2400) grid.append(tile(item));
    }
    while (!album && grid.children.length > 480) grid.lastElementChild.remove();
  };

  const again = () => update().catch(() => {}).finally(() => setTimeout(again, 1000));
  again();
})();
