/** AbortController for runtimes without one; only what the core uses. Injected by the mini-program build. */
export class AbortController {
  signal = new Signal();

  abort(): void {
    this.signal.aborted = true;
    for (const act of this.signal.acts.splice(0)) act();
  }
}

class Signal {
  aborted = false;
  acts: (() => void)[] = [];

  addEventListener(_type: 'abort', act: () => void): void {
    this.acts.push(act);
  }
}
