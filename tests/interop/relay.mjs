// relay.mjs RELAY_PEER: circuit relay v2 with js-libp2p in every role: target, dialler and relay, ours in the others.
// Prints one line per check and ends with status 0 only when all hold.
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
const { circuitRelayTransport, circuitRelayServer } = await import('@libp2p/circuit-relay-v2')
const { multiaddr } = await import('@multiformats/multiaddr')

const ECHO = '/kith-interop/echo/1.0.0'
const ECHO_BYTES = 1024 * 1024  // more than the 128 KiB of a limited circuit
const STEP_MS = 60_000

let failures = 0
function check (sentence, good, detail = '') {
  console.log(`${good ? 'ok' : 'not ok'} - ${sentence}${good || detail === '' ? '' : ': ' + detail}`)
  if (!good) failures++
}

function within (promise, what) {
  let timer
  const late = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing within ${STEP_MS} ms: ${what}`)), STEP_MS)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

// Our peer as a child process: lines in, JSON events out.
class OurPeer {
  constructor (binary, grant) {
    this.process = spawn(binary, [grant], { stdio: ['pipe', 'pipe', 'inherit'] })
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

  forget () { this.events = [] }
  send (line) { this.process.stdin.write(line + '\n') }

  async start () {
    const listening = await this.next('listening')
    this.peer = listening.peer
    this.address = `/ip4/127.0.0.1/tcp/${listening.port}/p2p/${listening.peer}`
    return this
  }

  async stop () {
    const ended = new Promise(resolve => this.process.once('exit', resolve))
    this.process.stdin.end()
    return within(ended, 'exit of relay_peer')
  }
}

const jsNode = ({ listen = [], services = {} } = {}) => createLibp2p({
  addresses: { listen },
  transports: [tcp(), circuitRelayTransport()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: { identify: identify(), ping: ping(), ...services },
  connectionManager: { inboundConnectionThreshold: 1000 },
  connectionGater: { denyDialMultiaddr: () => false }
})

const jsRelay = options => jsNode({
  listen: ['/ip4/127.0.0.1/tcp/0'],
  services: { relay: circuitRelayServer(options) }
})

const addressOf = node => node.getMultiaddrs().map(String).find(one => one.includes('/tcp/') && !one.includes('p2p-circuit'))

async function serveEcho (node) {
  await node.handle(ECHO, async stream => {
    for await (const part of stream) {
      if (!stream.send(part.subarray())) await stream.onDrain()
    }
    await stream.close()
  }, { runOnLimitedConnection: true })
}

function pattern (position) { return (position * 31 + Math.floor(position / 8192)) & 0xff }

// Sends `total` bytes on one stream while reading them back.
async function echoThrough (connection, total) {
  const stream = await connection.newStream(ECHO, { runOnLimitedConnection: true })
  let received = 0
  let intact = true
  const reading = (async () => {
    for await (const part of stream) {
      for (const byte of part.subarray()) intact = intact && byte === pattern(received++)
      if (received === total) break
    }
  })()
  const chunk = 64 * 1024
  for (let at = 0; at < total; at += chunk) {
    const bytes = Uint8Array.from({ length: Math.min(chunk, total - at) }, (_unused, i) => pattern(at + i))
    if (!stream.send(bytes)) await stream.onDrain()
  }
  await stream.close()
  await reading
  return intact && received === total
}

async function until (condition, what) {
  await within((async () => {
    while (!condition()) await new Promise(resolve => setTimeout(resolve, 50))
  })(), what)
}

// A js node that is reachable through the relay at `relay` only.
async function jsBehind (relay) {
  const node = await jsNode({ listen: [`${relay}/p2p-circuit`] })
  await serveEcho(node)
  await until(() => node.getMultiaddrs().some(one => one.toString().includes('/p2p-circuit')), 'reservation of js')
  return node
}

async function jsToJsThroughUs (binary) {
  const relay = await new OurPeer(binary, 'unlimited').start()
  const target = await jsBehind(relay.address)
  check('js makes a reservation at our relay', true)
  const dialler = await jsNode()
  const through = multiaddr(`${relay.address}/p2p-circuit/p2p/${target.peerId}`)
  const connection = await within(dialler.dial(through), 'dial through us')
  check('js reaches js through our relay', connection.remotePeer.equals(target.peerId))
  check('our relay sets no limit for whom it trusts', connection.limits == null, JSON.stringify(connection.limits))
  check('1 MiB from js to js through our relay', await within(echoThrough(connection, ECHO_BYTES), 'echo'))
  await within(Promise.all([dialler.stop(), target.stop()]), 'stop of js')
  await relay.stop()
}

async function jsToUsThroughUs (binary) {
  const relay = await new OurPeer(binary, 'unlimited').start()
  const target = await new OurPeer(binary, 'refused').start()
  target.send(`dial ${relay.address}`)
  await target.next('connected')
  target.send('reserve')
  const reserved = await target.next('reserved', 'down')
  check('our target makes a reservation at our relay', reserved.address === `${relay.address}/p2p-circuit`, JSON.stringify(reserved))
  const dialler = await jsNode()
  const connection = await within(dialler.dial(multiaddr(`${reserved.address}/p2p/${target.peer}`)), 'dial through us')
  const up = await target.next('connected', 'down')
  check('js reaches our target through our relay', connection.remotePeer.toString() === target.peer &&
    up.path === 'relayed' && up.peer === dialler.peerId.toString() && up.direction === 'inbound', JSON.stringify(up))
  check('1 MiB from js to us through our relay', await within(echoThrough(connection, ECHO_BYTES), 'echo'))
  await serveEcho(dialler)
  target.send(`echo ${ECHO_BYTES}`)
  const echoed = await target.next('echoed', 'reset', 'down')
  check('1 MiB from us to js on the same connection', echoed.ok === true, JSON.stringify(echoed))
  await within(dialler.stop(), 'stop of js')
  await target.next('down')
  check('we see js go', true)
  await target.stop()
  await relay.stop()
}

async function usToJsThroughUs (binary) {
  const relay = await new OurPeer(binary, 'unlimited').start()
  const target = await jsBehind(relay.address)
  const ours = await new OurPeer(binary, 'refused').start()
  ours.send(`dial ${relay.address}/p2p-circuit/p2p/${target.peerId}`)
  let up = await ours.next('connected', 'down')
  if (up.path === 'direct') up = await ours.next('connected', 'down')  // to the relay itself
  check('we reach js through our relay', up.path === 'relayed' && up.peer === target.peerId.toString() &&
    up.direction === 'outbound', JSON.stringify(up))
  ours.send(`echo ${ECHO_BYTES}`)
  const echoed = await ours.next('echoed', 'reset', 'down')
  check('1 MiB from us to js through our relay', echoed.ok === true && echoed.bytes === ECHO_BYTES, JSON.stringify(echoed))
  await within(target.stop(), 'stop of js')
  await ours.stop()
  await relay.stop()
}

async function usToUsThroughJs (binary) {
  const relay = await jsRelay({ reservations: { applyDefaultLimit: false } })
  const [target, ours] = [await new OurPeer(binary, 'refused').start(), await new OurPeer(binary, 'refused').start()]
  target.send(`dial ${addressOf(relay)}`)
  await target.next('connected')
  target.send('reserve')
  const reserved = await target.next('reserved', 'down')
  ours.send(`dial ${reserved.address}/p2p/${target.peer}`)
  let up = await ours.next('connected', 'down')
  if (up.path === 'direct') up = await ours.next('connected', 'down')  // to the relay itself
  check('we reach us through the relay of js', up.path === 'relayed' && up.peer === target.peer, JSON.stringify(up))
  ours.send(`echo ${ECHO_BYTES}`)
  const echoed = await ours.next('echoed', 'reset', 'down')
  check('1 MiB from us to us through the relay of js', echoed.ok === true && echoed.bytes === ECHO_BYTES, JSON.stringify(echoed))
  await ours.stop()
  await target.stop()
  await within(relay.stop(), 'stop of js')
}

async function throughJs (binary) {
  const relay = await jsRelay({ reservations: { applyDefaultLimit: false } })
  const at = addressOf(relay)
  const target = await jsBehind(at)
  const ours = await new OurPeer(binary, 'refused').start()
  ours.send(`dial ${at}/p2p-circuit/p2p/${target.peerId}`)
  let up = await ours.next('connected', 'down')
  if (up.path === 'direct') up = await ours.next('connected', 'down')  // to the relay itself
  check('we reach js through the relay of js', up.path === 'relayed' && up.peer === target.peerId.toString() &&
    up.direction === 'outbound', JSON.stringify(up))
  ours.send('ping')
  check('we ping js through the relay of js', (await ours.next('pinged', 'reset', 'down')).event === 'pinged')
  ours.send(`echo ${ECHO_BYTES}`)
  const echoed = await ours.next('echoed', 'reset', 'down')
  check('1 MiB from us to js through the relay of js', echoed.ok === true && echoed.bytes === ECHO_BYTES, JSON.stringify(echoed))

  ours.forget()
  ours.send('reserve')
  const reserved = await ours.next('reserved', 'down')
  check('we make a reservation at the relay of js', reserved.event === 'reserved' &&
    reserved.address.endsWith(`/p2p/${relay.peerId}/p2p-circuit`), JSON.stringify(reserved))
  const dialler = await jsNode()
  const connection = await within(dialler.dial(multiaddr(`${at}/p2p-circuit/p2p/${ours.peer}`)), 'dial of us')
  const back = await ours.next('connected', 'down')
  check('js reaches us through the relay of js', connection.remotePeer.toString() === ours.peer && back.path === 'relayed' &&
    back.direction === 'inbound', JSON.stringify(back))
  check('1 MiB from js to us through the relay of js', await within(echoThrough(connection, ECHO_BYTES), 'echo'))

  ours.forget()
  const nobody = await jsNode()
  ours.send(`dial ${at}/p2p-circuit/p2p/${nobody.peerId}`)
  const refused = await ours.next('connected', 'down')
  check('the relay of js says that it has no such reservation, and we understand',
    refused.message === 'that peer has no reservation at the relay', JSON.stringify(refused))
  await within(Promise.all([nobody.stop(), dialler.stop(), target.stop(), relay.stop()]), 'stop of js')
  await ours.stop()
}

async function limits (binary) {
  const relay = await new OurPeer(binary, 'limited').start()
  const target = await jsBehind(relay.address)
  const dialler = await jsNode()
  const connection = await within(dialler.dial(multiaddr(`${relay.address}/p2p-circuit/p2p/${target.peerId}`)), 'dial')
  const { bytes, seconds } = connection.limits ?? {}  // what is left of them
  check('js hears the limit of our relay', bytes > 100_000 && bytes <= 128 * 1024 && seconds > 60 && seconds <= 120,
    `${bytes} bytes, ${seconds} s`)
  check('16 KiB pass a limited circuit', await within(echoThrough(connection, 16 * 1024), 'echo'))
  const broken = await within(echoThrough(connection, ECHO_BYTES).then(whole => !whole, () => true), 'end of the circuit')
  check('1 MiB does not', broken)
  await within(Promise.all([dialler.stop(), target.stop()]), 'stop of js')
  await relay.stop()

  const js = await jsRelay({})
  const at = addressOf(js)
  const behind = await jsBehind(at)
  const ours = await new OurPeer(binary, 'refused').start()
  ours.send(`dial ${at}/p2p-circuit/p2p/${behind.peerId}`)
  let up = await ours.next('connected', 'down')
  if (up.path === 'direct') up = await ours.next('connected', 'down')
  ours.forget()
  ours.send(`echo ${ECHO_BYTES}`)
  const end = await ours.next('echoed', 'reset', 'down')
  check('the relay of js cuts us off at its limit', up.path === 'relayed' && end.ok !== true, JSON.stringify(end))
  await within(Promise.all([behind.stop(), js.stop()]), 'stop of js')
  await ours.stop()
}

async function refusal (binary) {
  const relay = await new OurPeer(binary, 'refused').start()
  const node = await jsNode()
  await within(node.dial(multiaddr(relay.address)), 'dial')
  const refused = await within(node.dial(multiaddr(`${relay.address}/p2p-circuit/p2p/${relay.peer.slice(0, -1)}B`))
    .then(() => false, () => true), 'refusal')
  check('our relay refuses js when its policy does', refused)
  await within(node.stop(), 'stop of js')
  await relay.stop()
}

const binary = process.argv[2]
const steps = [jsToJsThroughUs, jsToUsThroughUs, usToJsThroughUs, usToUsThroughJs, throughJs, limits, refusal]
for (const step of steps) {
  try {
    await step(binary)
  } catch (error) {
    check(step.name, false, error.stack)
  }
}
process.exit(failures === 0 ? 0 : 1)
