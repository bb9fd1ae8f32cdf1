// The records that every driver produces and verifies: see DATASET.md. The Go package dataset is the same.
'use strict'

const { createHash } = require('node:crypto')

const FINGERPRINTS = {
  'conf-x-none-3kevhdnt': '58bbc68502ee1ca8c64b10498994dd362f08873c6e3cff286c1e7b33ece2a7c5',
  'conf-x-none-1kvha': 'b578a2d036377f8c20683917180f9d2f9d9de8703220a8c02305f886f804a5b1',
}

const sha256 = text => createHash('sha256').update(text).digest()
const hexOrDash = b => (b === null ? '-' : b.toString('hex'))
const timestamp = i => 1700000000000 + 1000 * i + (i % 97 === 13 ? 50000 : 0)

class Dataset {
  constructor(name) {
    this.name = name
    const profile = name.slice(name.lastIndexOf('-') + 1)
    this.partitions = Number(profile[0])
    this.profile = profile.slice(1)
  }

  has(ability) {
    return this.profile.includes(ability)
  }

  // record i; null keys, values and header values are null
  record(i) {
    const h = sha256(`${this.name}:${i}`)
    let key = this.text(h.subarray(0, 1 + (h[0] % 16)))
    if (i % 7 === 3 && this.has('k')) key = null
    else if (i % 7 === 5 && this.has('e')) key = Buffer.alloc(0)
    let value
    if (i % 11 === 4 && this.has('v')) value = null
    else if (i % 11 === 6 && this.has('e')) value = Buffer.alloc(0)
    else {
      value = Buffer.alloc(1 + ((256 * h[1] + h[2]) % 500))
      for (let j = 0; j < value.length; j++) value[j] = h[j % 32] ^ (j >> 5)
      value = this.text(value)
    }
    const headers = []
    if (this.has('h')) for (let n = 0; n < h[3] % 4; n++) headers.push(this.header(h, n))
    return { partition: i % this.partitions, offset: Math.floor(i / this.partitions), timestamp: timestamp(i), key, value, headers }
  }

  header(h, n) {
    const key = this.has('d') && h[4] % 5 === 0 ? 'h0' : `h${n}`
    const kind = h[5 + n] % 5
    if (kind === 0 && this.has('n')) return [key, null]
    if (kind < 2) return [key, this.has('a') ? Buffer.from('00') : Buffer.alloc(0)]
    return [key, this.text(h.subarray(8, 8 + 4 * (n + 1)))]
  }

  text(b) {
    return this.has('a') ? Buffer.from(b.toString('hex')) : b
  }

  firstAtOrAfter(partition, ms, n) {
    for (let i = partition; i < n; i += this.partitions) if (timestamp(i) >= ms) return Math.floor(i / this.partitions)
    return -1
  }

  count(partition, n) {
    return Math.floor((n - partition + this.partitions - 1) / this.partitions)
  }

  fingerprint() {
    const sum = createHash('sha256')
    for (let i = 0; i < 1000; i++) {
      const r = this.record(i)
      const headers = r.headers.map(([k, v]) => `${k}=${hexOrDash(v)}`).join(',')
      sum.update(`${r.partition} ${r.offset} ${r.timestamp} ${hexOrDash(r.key)} ${hexOrDash(r.value)} ${headers}\n`)
    }
    return sum.digest('hex')
  }
}

function selftest() {
  for (const [name, want] of Object.entries(FINGERPRINTS)) {
    const got = new Dataset(name).fingerprint()
    if (got !== want) throw new Error(`fingerprint of ${name} is ${got}, want ${want}`)
  }
}

module.exports = { Dataset, selftest, timestamp }
