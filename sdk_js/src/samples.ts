/** Kept no longer than the event itself. */
const asked = new WeakMap<PointerEvent, PointerEvent[]>();

/** The coalesced samples of a move; asked once for all signals, since asking is what costs. Empty if unsupported. */
export const samplesOf = (event: PointerEvent): PointerEvent[] => {
  const samples = asked.get(event) || event.getCoalescedEvents?.() || [];
  asked.set(event, samples);
  return samples;
};
