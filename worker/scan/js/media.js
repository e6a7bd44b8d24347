// For our isolated world, before axe-core runs: axe-core waits up to 10 s for the metadata of media that play by
// themselves, and decides the same without it ("needs review"). Those that cannot load are not waited for at all, those
// that are silent for a short while only. The page's own world has its own prototypes and sees nothing of this.
(() => {
  const LIMIT_MS = 2000;
  const NO_SOURCE = 3;
  const add = EventTarget.prototype.addEventListener;
  HTMLMediaElement.prototype.addEventListener = function (type, listener, ...rest) {
    add.call(this, type, listener, ...rest);
    if (type !== "loadedmetadata") return;
    const isDead = this.error !== null || this.networkState === NO_SOURCE;
    setTimeout(listener, isDead ? 0 : LIMIT_MS);
  };
})()
