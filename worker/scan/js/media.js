// Evaluated in Sightline's isolated world, before axe-core runs: axe-core waits up to 10 s for the metadata of media
// that play automatically, and decides the same without it ("needs review"). Media that cannot load are not waited for,
// and stalled ones only briefly. The page's own world has separate prototypes and is not affected.
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
