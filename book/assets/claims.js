// On the page of claims: show the cards of one verdict only.
document.addEventListener("DOMContentLoaded", () => {
  const cards = [...document.querySelectorAll(".claim")];
  if (!cards.length) return;
  const names = { all: "all", reproduced: "reproduced", partly: "partly", not: "not reproduced", open: "open" };
  const bar = document.createElement("div");
  bar.className = "claim-filter";
  bar.setAttribute("role", "group");
  bar.setAttribute("aria-label", "Show the claims with one verdict");
  const has = (card, kind) => kind === "all" || card.classList.contains(`claim-${kind}`);
  const buttons = Object.entries(names).map(([kind, name]) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = `${name} (${cards.filter((card) => has(card, kind)).length})`;
    button.addEventListener("click", () => {
      for (const card of cards) card.hidden = !has(card, kind);
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
    });
    button.setAttribute("aria-pressed", String(kind === "all"));
    return button;
  });
  bar.append(...buttons);
  cards[0].before(bar);
});
