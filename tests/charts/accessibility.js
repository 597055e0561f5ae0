({
  structure: () => {
    const ids = [...document.querySelectorAll('[id]')].map((node) => node.id);
    const refs = [...document.querySelectorAll('[aria-labelledby], [for]')]
        .map((node) => node.getAttribute('aria-labelledby') ?? node.getAttribute('for'));
    const levels = [...document.querySelectorAll('h1, h2, h3')]
        .filter((node) => node.checkVisibility()).map((node) => Number(node.tagName[1]));
    return {
        twice: ids.filter((id, index) => ids.indexOf(id) !== index),
        broken: refs.filter((id) => !document.getElementById(id)),
        jumps: levels.filter((level, index) => index > 0 && level > levels[index - 1] + 1),
        first: levels[0],
        mains: document.querySelectorAll('main').length,
        headless: [...document.querySelectorAll('table')].filter((table) => !table.closest('[aria-hidden]'))
            .filter((table) => !table.caption || ![...table.querySelectorAll('thead th')].every((th) => th.scope)).length,
        unreachable: [...document.querySelectorAll('.scroll')].filter((node) => node.tabIndex < 0).length,
        language: document.documentElement.lang,
    };
},

  // each visible text with its color, and every background from itself up to the page
  texts: () => {
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const node = walker.currentNode.parentElement;
        const text = walker.currentNode.data.trim();
        if (!text || !node.checkVisibility() || node.closest('.sr-only, :disabled, noscript, dialog')) continue;
        const box = node.getBoundingClientRect();
        if (box.width < 2 || box.height < 2) continue;
        const style = getComputedStyle(node);
        const grounds = [];
        for (let at = node; at; at = at.parentElement) grounds.push(getComputedStyle(at).backgroundColor);
        found.push({ text: text.slice(0, 30), color: style.color, grounds,
            large: parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.6 && style.fontWeight >= 700) });
    }
    return found;
},

  listen: () => {
    window.spoken = 0;
    const observer = new MutationObserver(() => { window.spoken += 1; });
    observer.observe(document.getElementById('summary'), { subtree: true, childList: true, characterData: true });
  },

  voices: () => [...document.querySelectorAll('[aria-live], [role=status], [role=alert]')].map((node) => node.id),
})
