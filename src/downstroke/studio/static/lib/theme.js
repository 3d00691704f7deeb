// Runs before the page is painted, so that a dark page never flashes white: a classic script, not a module.
(() => {
  const asked = matchMedia("(prefers-color-scheme: dark)");
  const kept = () => {
    try {
      return localStorage.getItem("downstroke-theme");
    } catch {
      return null; // storage may be forbidden; the system's wish is then followed
    }
  };
  const apply = (theme) => {
    document.documentElement.dataset.theme = theme;
    const button = document.getElementById("theme");
    if (button) button.setAttribute("aria-pressed", String(theme === "dark"));
    document.dispatchEvent(new Event("themechange"));
  };
  const follow = () => apply(kept() ?? (asked.matches ? "dark" : "light"));
  follow();
  asked.addEventListener("change", follow);
  document.addEventListener("DOMContentLoaded", () => {
    follow();
    document.getElementById("theme").addEventListener("click", () => {
      const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
      try {
        localStorage.setItem("downstroke-theme", theme);
      } catch {
        // it then lasts as long as the page
      }
      apply(theme);
    });
  });
})();
