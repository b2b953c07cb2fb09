import { createContext } from "react";

/** What a card on the canvas can ask the editor to do; stable, so that no card is drawn again because of it. */
export const Actions = createContext(null);
