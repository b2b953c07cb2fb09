// Icon and word of each state, as in runs/templatetags/dex.py; tests/repository/test_frontend.py keeps the two equal.
const ICONS = {
  pending: "circle-dashed",
  queued: "clock",
  running: "loader-circle",
  waiting: "hourglass",
  succeeded: "circle-check",
  failed: "circle-x",
  skipped: "skip-forward",
  cancelled: "ban",
  reused: "recycle",
};

export const stateIcon = (state) => ICONS[state] ?? "circle-dashed";
export const stateWord = (state) => state.charAt(0).toUpperCase() + state.slice(1);
