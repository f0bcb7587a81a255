/** Kept no longer than the event itself. */
const asked = new WeakMap<PointerEvent, PointerEvent[]>();

/** The coalesced samples of a move, itself if there are none; asked once for all signals, since asking is what costs. */
export const samplesOf = (event: PointerEvent): PointerEvent[] => {
  let samples = asked.get(event) || event.getCoalescedEvents?.() || [];
  if (!samples.length) samples = [event];
  asked.set(event, samples);
  return samples;
};
