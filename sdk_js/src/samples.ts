let last: PointerEvent | undefined;
let samples: PointerEvent[] = [];

/** The coalesced samples of a move; asked once for all signals, since asking is what costs. Empty if unsupported. */
export const samplesOf = (event: PointerEvent): PointerEvent[] => {
  if (event !== last) samples = event.getCoalescedEvents?.() || [];
  last = event;
  return samples;
};
