// The keyboard: one letter for what is done often, and never while somebody types.

export function listen(actions) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.closest?.("input:not([type=radio]), select, textarea");
    if (event.key === "Escape" && typing) {
      typing.blur();
      return;
    }
    if (typing || document.querySelector("dialog[open]")) return;
    const action = actions[event.key.toLowerCase()] ?? (/^[1-9]$/.test(event.key) ? () => actions.digit(Number(event.key)) : null);
    if (action) {
      event.preventDefault();
      action();
    }
  });
}
