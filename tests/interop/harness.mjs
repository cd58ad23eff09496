// harness.mjs: what the scripts of this folder share: our peer as a child process, a js-libp2p node, checks.
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

// @libp2p/ping needs it; node has it from version 22 on.
Promise.withResolvers ??= function () {
  let resolve, reject
  const promise = new this((yes, no) => { resolve = yes; reject = no })
  return { promise, resolve, reject }
}

const { createLibp2p } = await import('libp2p')
const { tcp } = await import('@libp2p/tcp')
const { noise } = await import('@libp2p/noise')
const { yamux } = await import('@libp2p/yamux')
const { identify } = await import('@libp2p/identify')
const { ping } = await import('@libp2p/ping')

const STEP_MS = 60_000

let failures = 0
export function check (sentence, good, detail = '') {
  console.log(`${good ? 'ok' : 'not ok'} - ${sentence}${good || detail === '' ? '' : ': ' + detail}`)
  if (!good) failures++
}

export function within (promise, what) {
  let timer
  const late = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing within ${STEP_MS} ms: ${what}`)), STEP_MS)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

// Our peer as a child process: lines in, JSON events out.
export class OurPeer {
  constructor (binary, ...options) {
    this.process = spawn(binary, options, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.events = []
    this.waiting = []
    createInterface({ input: this.process.stdout }).on('line', line => {
      const event = JSON.parse(line)
      const index = this.waiting.findIndex(one => one.names.includes(event.event))
      if (index >= 0) this.waiting.splice(index, 1)[0].resolve(event)
      else this.events.push(event)
    })
  }

  next (...names) {
    const index = this.events.findIndex(event => names.includes(event.event))
    if (index >= 0) return Promise.resolve(this.events.splice(index, 1)[0])
    return within(new Promise(resolve => this.waiting.push({ names, resolve })), names.join('|'))
  }

  send (line) { this.process.stdin.write(line + '\n') }

  async stop () {
    const ended = new Promise(resolve => this.process.once('exit', resolve))
    this.process.stdin.end()
    return within(ended, 'exit of interop_peer')
  }
}

export const jsNode = (options = {}) => createLibp2p({
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  // Each of its pings is a stream of its own, and it does not wait until the one before is closed on both sides.
  services: { identify: identify(), ping: ping({ maxOutboundStreams: 32 }) },
  connectionManager: { inboundConnectionThreshold: 1000 },
  ...options
})

// js-libp2p's Noise, announcing its muxers inside the handshake or not. Of each handshake `seen` gets what we announced
// there, and which muxer js takes from it: none where the muxer is agreed by multistream afterwards.
export function watchedNoise ({ early, seen = [] }) {
  const make = noise()
  return components => {
    const encrypter = make(components)
    for (const name of ['secureInbound', 'secureOutbound']) {
      const original = encrypter[name].bind(encrypter)
      encrypter[name] = async (connection, options) => {
        const secured = await original(connection, early ? options : { ...options, skipStreamMuxerNegotiation: true })
        seen.push({ announced: secured.remoteExtensions?.streamMuxers ?? [], taken: secured.streamMuxer?.protocol ?? 'none' })
        return secured
      }
    }
    return encrypter
  }
}

export const noiseWithoutMuxers = () => watchedNoise({ early: false })

// Ends the process: with status 0 only when all checks held.
export function finish () {
  console.log(failures === 0 ? 'all checks hold' : `${failures} checks fail`)
  process.exit(failures === 0 ? 0 : 1)
}
