// Runs before the first paint, so that nobody who chose the dark theme sees a white flash.
try {
  const chosen = localStorage.getItem("dex-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // Without storage the theme is the system's.
}
