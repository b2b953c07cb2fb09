import { applied, stillPossible } from "./picture.js";

const OFFLINE = "The server cannot be reached. Your changes are kept here until it is back.";
const ENDED = "Your session ended. Log in again in another tab, then click Retry. Your changes are kept here.";

/**
 * The flow as the server holds it, and what it has not been told yet.
 *
 * What is done on the canvas is a step: a list of operations that is saved, and undone, as one. Steps wait in line and
 * are sent one after the other, each with the version it was made on. What is shown is the server's canvas with the
 * waiting steps applied, so a step that is refused takes itself back by leaving the line.
 */
export class Board {
  #server;
  #tell;
  #listeners = new Set();
  #canvas = null;
  #line = [];
  #sending = false;
  #stopped = ""; // why nothing is sent: "", "unreachable", "ended", "conflict"
  #conflict = null;
  #past = [];
  #future = [];

  /** `tell(event, detail)` hears of "saved" {step, canvas, before}, "refused" {step, error} and "loaded". */
  constructor(server, tell) {
    this.#server = server;
    this.#tell = tell;
    this.#publish();
  }

  subscribe = (listener) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  getSnapshot = () => this.snapshot;

  /** What the server holds now; `versionBefore` is the version before a change that this page made by other means. */
  async load(versionBefore) {
    const answer = await this.#server.load();
    if (answer.kind !== "loaded") {
      if (!this.#canvas) this.#stopped = answer.kind === "ended" ? "ended" : "unreachable";
      this.#publish();
      return;
    }
    if (this.#sending) return; // the answer under way is newer
    if (!this.#line.length) this.#stopped = "";
    this.#remember(answer.json, this.#canvas?.version, versionBefore);
    this.#canvas = answer.json;
    this.#publish();
    this.#tell("loaded", { canvas: this.#canvas });
  }

  /** Do something; `said` is what it is called when it is undone, `at` where on the screen it was done. */
  do(operations, { said, at } = {}) {
    if (!operations.length || !this.#canvas?.may_edit) return;
    this.#line.push({ what: "do", operations, said, at });
    if (this.#stopped === "unreachable") this.#stopped = "";
    this.#next();
  }

  undo() {
    const last = this.#line.at(-1);
    if (last?.what === "do" && !(this.#sending && this.#line.length === 1)) {
      this.#line.pop(); // the server never heard of it
      if (!this.#line.length && this.#stopped !== "conflict") this.#stopped = "";
      this.#publish();
      return;
    }
    if (!this.snapshot.canUndo) return;
    this.#line.push({ what: "undo" });
    this.#next();
  }

  redo() {
    if (!this.snapshot.canRedo) return;
    this.#line.push({ what: "redo" });
    this.#next();
  }

  async retry() {
    if (this.#stopped === "conflict") return;
    const loggedInAgain = this.#stopped === "ended" && (await this.#server.freshToken());
    if (this.#stopped === "ended" && !loggedInAgain) {
      this.#publish();
      return;
    }
    this.#stopped = "";
    if (this.#canvas) this.#next();
    else this.load();
  }

  /** After a conflict: what the other did stands, mine is given up. */
  keepTheirs() {
    this.#canvas = this.#conflict.canvas;
    this.#line = [];
    this.#forgetSteps();
    this.#go();
  }

  /** After a conflict: mine is done on top of what the other did. */
  applyMine() {
    this.#canvas = this.#conflict.canvas;
    this.#forgetSteps();
    const [first, ...rest] = this.#line;
    this.#line = [{ ...first, mineWins: true }, ...rest];
    this.#go();
  }

  #go() {
    this.#conflict = null;
    this.#stopped = "";
    this.#next();
    this.#tell("loaded", { canvas: this.#canvas });
  }

  async #next() {
    if (this.#sending || this.#stopped || !this.#line.length) {
      this.#publish();
      return;
    }
    const step = this.#line[0];
    const operations = this.#operationsOf(step);
    if (!operations.length) {
      this.#line.shift();
      this.#next();
      return;
    }
    this.#sending = true;
    this.#publish();
    const before = this.#canvas;
    const answer = await this.#server.send({
      version: before.version,
      operations,
      mine_wins: step.mineWins ?? false,
    });
    this.#sending = false;
    this.#answered(step, before, answer);
  }

  // An undo finds out what it undoes only now, when all that was done before it has been saved.
  #operationsOf(step) {
    if (step.what === "do") return stillPossible(this.#canvas, step.operations);
    step.entry ??= step.what === "undo" ? this.#past.at(-1) : this.#future.at(-1);
    if (!step.entry) return [];
    return [{ op: "restore", version: step.what === "undo" ? step.entry.before : step.entry.after }];
  }

  #answered(step, before, answer) {
    if (answer.kind === "saved") {
      this.#line.shift();
      this.#note(step, before, answer.canvas);
      this.#canvas = answer.canvas;
      this.#next();
      this.#tell("saved", { step, canvas: answer.canvas, before });
    } else if (answer.kind === "conflict") {
      this.#stopped = "conflict";
      this.#conflict = answer;
      this.#publish();
    } else if (answer.kind === "refused" || answer.kind === "forbidden") {
      this.#line.shift();
      if (answer.canvas) this.#canvas = answer.canvas;
      this.#next();
      this.#tell("refused", { step, error: answer.error, forbidden: answer.kind === "forbidden" });
    } else {
      this.#stopped = answer.kind;
      this.#publish();
    }
  }

  // Restoring a version would take back what others did after it, so steps older than the newest change of somebody
  // else cannot be undone from here any more. They are in the flow's history.
  #note(step, before, after) {
    if (after.version === before.version) return;
    const alone = after.version === before.version + 1;
    if (!alone) this.#forgetSteps();
    if (step.what === "do") {
      this.#past.push({ before: after.version - 1, after: after.version, said: step.said });
      this.#future = [];
    } else if (alone) {
      const [from, to] = step.what === "undo" ? [this.#past, this.#future] : [this.#future, this.#past];
      if (from.at(-1) === step.entry) to.push(from.pop());
    }
  }

  #remember(canvas, known, versionBefore) {
    if (known === undefined || canvas.version === known) return;
    if (versionBefore !== known) this.#forgetSteps();
    this.#future = [];
    if (versionBefore !== undefined && canvas.version === versionBefore + 1) {
      this.#past.push({ before: versionBefore, after: canvas.version, said: "Changed the settings of a node" });
    } else {
      this.#forgetSteps();
    }
  }

  #forgetSteps() {
    this.#past = [];
    this.#future = [];
  }

  #status() {
    if (!this.#canvas) return this.#stopped ? "failed" : "loading";
    if (this.#stopped === "conflict") return "conflict";
    if (this.#stopped && this.#line.length) return "unsaved";
    return this.#line.length ? "saving" : "saved";
  }

  #publish() {
    const waiting = (what) => this.#line.filter((step) => step.what === what).length;
    const operations = this.#line.flatMap((step) => step.operations ?? []);
    this.snapshot = {
      canvas: this.#canvas && applied(this.#canvas, operations),
      saved: this.#canvas,
      status: this.#status(),
      trouble: { ended: ENDED, unreachable: OFFLINE }[this.#stopped] ?? "",
      conflict: this.#conflict,
      canUndo: this.#past.length + waiting("do") > waiting("undo"),
      canRedo: this.#future.length > waiting("redo"),
    };
    for (const listener of this.#listeners) listener();
  }
}
