/** How long a movement of the picture takes; none for who asked for none. */
export const quick = () => (matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 140);
