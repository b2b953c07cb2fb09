import { Panel } from "@xyflow/react";
import { IconButton } from "../button.jsx";
import { Icon } from "../icon.jsx";

/** What concerns the whole canvas; what concerns the chosen nodes is in the selection bar. */
export function Toolbar({ acts, snapshot, showKeys }) {
  return (
    <Panel position="top-left" className="tools">
      {snapshot.canvas.may_edit && (
        <>
          <IconButton
            icon="undo-2"
            label="Undo"
            keys="Ctrl+Z"
            aria-disabled={!snapshot.canUndo}
            onClick={acts.undo}
          />
          <IconButton
            icon="redo-2"
            label="Redo"
            keys="Ctrl+Shift+Z"
            aria-disabled={!snapshot.canRedo}
            onClick={acts.redo}
          />
          <span className="tools-line" />
          <button
            type="button"
            className="button ghost"
            title="Arrange the nodes from left to right"
            onClick={acts.arrange}
          >
            <Icon name="network" />
            Arrange
          </button>
          <span className="tools-line" />
        </>
      )}
      <IconButton icon="keyboard" label="Keyboard shortcuts" keys="?" onClick={showKeys} />
    </Panel>
  );
}

const SAYS = { saved: ["check", "Saved"], saving: ["loader-circle", "Saving…"], conflict: ["git-compare", "Not saved"] };

/** Whether what is on the screen is safe. */
export function SaveState({ board, snapshot }) {
  const { status, trouble, canvas } = snapshot;
  if (!canvas.may_edit) {
    return (
      <Panel position="top-right" className="tools save-state">
        <Icon name="eye" />
        View only
      </Panel>
    );
  }
  if (status === "unsaved") {
    return (
      <Panel position="top-right" className="tools save-state not-saved">
        <Icon name="triangle-alert" />
        <span>
          <b>Not saved.</b> {trouble}
        </span>
        <button type="button" className="button small" onClick={() => board.retry()}>
          <Icon name="refresh-cw" />
          Retry
        </button>
      </Panel>
    );
  }
  const [icon, words] = SAYS[status];
  return (
    <Panel position="top-right" className={`tools save-state ${status}`}>
      <Icon name={icon} />
      {words}
    </Panel>
  );
}
