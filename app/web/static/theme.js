// Before the first paint: who has not chosen light or dark gets what the system asks for.
(() => {
  const root = document.documentElement;
  if (root.dataset.bsTheme) return;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => { root.dataset.bsTheme = dark.matches ? "dark" : "light"; };
  follow();
  dark.addEventListener("change", follow);
})();
