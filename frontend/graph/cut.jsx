// Names of one family differ at their ends, so a long one gives way in its middle: the head may shrink, the tail not.
const TAIL = 9;

export function Cut({ text }) {
  const at = text.length > 2 * TAIL ? text.length - TAIL : text.length;
  return (
    <span className="cut-middle" title={text}>
      <span className="cut-head">{text.slice(0, at)}</span>
      {at < text.length && <span>{text.slice(at)}</span>}
    </span>
  );
}
