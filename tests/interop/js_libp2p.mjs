// js_libp2p.mjs INTEROP_PEER: js-libp2p dials us and we dial it, with each side announcing its muxer inside the Noise
// handshake and not; then raw sockets misbehave. Prints one line per check and ends with status 0 only when all hold.
import net from 'node:net'
import { check, finish, jsNode, OurPeer, watchedNoise, within } from './harness.mjs'

const { multiaddr } = await import('@multiformats/multiaddr')

const ECHO = '/kith-interop/echo/1.0.0'
const ECHO_BYTES = 8 * 1024 * 1024
const YAMUX = '/yamux/1.0.0'

function pattern (position) { return (position * 31 + Math.floor(position / 8192)) & 0xff }

async function serveEcho (node) {
  await node.handle(ECHO, async stream => {
    for await (const part of stream) {
      const bytes = part.subarray()
      if (!stream.send(bytes)) await stream.onDrain()
    }
    await stream.close()
  })
}

// Sends ECHO_BYTES on one stream while reading them back.
async function echoThrough (node, address) {
  const stream = await node.dialProtocol(address, ECHO)
  let received = 0
  let intact = true
  const reading = (async () => {
    for await (const part of stream) {
      for (const byte of part.subarray()) intact = intact && byte === pattern(received++)
      if (received === ECHO_BYTES) break
    }
  })()
  const chunk = 64 * 1024
  for (let at = 0; at < ECHO_BYTES; at += chunk) {
    const bytes = Uint8Array.from({ length: chunk }, (_unused, i) => pattern(at + i))
    if (!stream.send(bytes)) await stream.onDrain()
  }
  await stream.close()
  await reading
  return intact && received === ECHO_BYTES
}

// Who announces a muxer inside the handshake. Only where both do it is agreed there: had one side another opinion than
// the other, one would wait for a word of multistream that never comes.
const EARLY = [true, false].flatMap(js => [true, false].map(ours => ({ js, ours })))
const nameOf = early => `early muxer of js ${early.js ? 'on' : 'off'}, ours ${early.ours ? 'on' : 'off'}`

function checkMuxer (seen, early) {
  const name = nameOf(early)
  check(`we announce a muxer when that is on (${name})`,
    seen.length === 1 && seen[0].announced.join() === (early.ours ? YAMUX : ''), JSON.stringify(seen))
  check(`the muxer is agreed ${early.js && early.ours ? 'inside the handshake' : 'by multistream'} (${name})`,
    seen.length === 1 && seen[0].taken === (early.js && early.ours ? YAMUX : 'none'), JSON.stringify(seen))
}

async function jsDialsUs (peer, listening, early) {
  const seen = []
  const node = await jsNode({ connectionEncrypters: [watchedNoise({ early: early.js, seen })] })
  const identified = new Promise(resolve => node.addEventListener('peer:identify', event => resolve(event.detail)))
  const address = multiaddr(`/ip4/127.0.0.1/tcp/${listening.port}/p2p/${listening.peer}`)
  const connection = await within(node.dial(address), 'dial')
  check(`js dials us and sees our peer id (${nameOf(early)})`, connection.remotePeer.toString() === listening.peer)
  check('js negotiated Noise and yamux', connection.encryption === '/noise' && connection.multiplexer === YAMUX,
    `${connection.encryption} ${connection.multiplexer}`)
  checkMuxer(seen, early)
  const up = await peer.next('connected')
  check('we see the peer id of js', up.peer === node.peerId.toString() && up.direction === 'inbound')

  const found = await within(identified, 'identify by js')
  check('js reads our identify', found.agentVersion === 'kith-interop/1' && found.protocols.includes(ECHO) &&
    found.peerId.toString() === listening.peer, JSON.stringify(found.protocols))
  check('js learns the address we see it at', `${found.observedAddr}`.startsWith('/ip4/127.0.0.1/tcp/'), `${found.observedAddr}`)

  let slowest = 0
  for (let i = 0; i < 20; i++) slowest = Math.max(slowest, await within(node.services.ping.ping(address), 'ping'))
  check('js pings us 20 times', true)
  check('8 MiB echo, js asks', await within(echoThrough(node, address), 'echo of js'))
  peer.send('ping 20')
  check('we ping js 20 times on its own connection', (await peer.next('pinged', 'reset')).count === 20)
  await within(node.stop(), 'stop of js')
  check('we see js go', (await peer.next('down')).event === 'down')
}

async function weDialJs (peer, early) {
  const seen = []
  const node = await jsNode({ connectionEncrypters: [watchedNoise({ early: early.js, seen })] })
  await serveEcho(node)
  const port = node.getMultiaddrs()[0].nodeAddress?.().port ?? /tcp\/(\d+)/.exec(node.getMultiaddrs()[0].toString())[1]
  const name = nameOf(early)
  peer.send(`dial 127.0.0.1 ${port} ${node.peerId.toString()}`)
  const up = await peer.next('connected', 'down')
  check(`we dial js (${name})`, up.event === 'connected' && up.peer === node.peerId.toString(), up.message)
  peer.send('ping 20')
  check(`we ping js 20 times (${name})`, (await peer.next('pinged', 'reset')).count === 20)
  checkMuxer(seen, early)
  peer.send('identify')
  const found = await peer.next('identified', 'reset')
  check(`we read the identify of js (${name})`, found.event === 'identified' && found.protocols.includes(ECHO) &&
    found.agent.includes('libp2p') && found.observed.startsWith('/ip4/127.0.0.1/tcp/'), JSON.stringify(found))
  peer.send(`echo ${ECHO_BYTES}`)
  const echoed = await peer.next('echoed', 'reset')
  check(`8 MiB echo, we ask (${name})`, echoed.ok === true && echoed.bytes === ECHO_BYTES, JSON.stringify(echoed))
  await within(node.stop(), 'stop of js')
  await peer.next('down')
}

async function wrongPeer (peer, listening) {
  const node = await jsNode()
  const other = await jsNode()
  const port = /tcp\/(\d+)/.exec(node.getMultiaddrs()[0].toString())[1]
  peer.send(`dial 127.0.0.1 ${port} ${other.peerId.toString()}`)
  const down = await peer.next('connected', 'down')
  check('we refuse js under another name than dialled', down.event === 'down' && down.code === 'unauthorized',
    JSON.stringify(down))
  const wrong = multiaddr(`/ip4/127.0.0.1/tcp/${listening.port}/p2p/${other.peerId.toString()}`)
  const refused = await within(node.dial(wrong).then(() => false, () => true), 'refusal by js')
  check('js refuses us under another name than dialled', refused)
  await peer.next('down')  // the connection js left
  await within(Promise.all([node.stop(), other.stop()]), 'stop of js')
}

// A raw socket that writes `bytes` and then keeps silent; resolves with milliseconds until we close it.
function untilClosed (port, bytes) {
  const begun = Date.now()
  return within(new Promise(resolve => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(bytes))
    socket.on('error', () => {})
    socket.on('data', () => {})
    socket.on('close', () => resolve(Date.now() - begun))
    socket.on('end', () => socket.end())
  }), 'close by us')
}

const mss = text => Buffer.concat([Buffer.from([text.length + 1]), Buffer.from(text + '\n')])

async function misbehave (peer, listening) {
  const opening = Buffer.concat([mss('/multistream/1.0.0'), mss('/noise')])
  const frame = (length, body) => Buffer.concat([opening, Buffer.from([length >> 8, length & 0xff]), body])
  const cases = [
    ['an oversized multistream message', Buffer.from([0xff, 0xff, 0x7f]), 'too_large'],
    ['a length that is not minimal', Buffer.from([0x80, 0x00]), 'invalid'],
    ['HTTP instead of libp2p', Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n' + ' '.repeat(80)), 'invalid'],
    ['an oversized Noise frame', frame(0xffff, Buffer.alloc(0)), 'too_large'],
    ['a Noise message too short for a key', frame(5, Buffer.alloc(5, 1)), 'invalid'],
    ['a Noise key of small order', frame(32, Buffer.alloc(32)), 'unauthorized']
  ]
  for (const [name, bytes, code] of cases) {
    await untilClosed(listening.port, bytes)
    const down = await peer.next('down')
    check(`${name} is refused`, down.code === code, JSON.stringify(down))
  }
  const slow = [Buffer.alloc(0), mss('/multistream/1.0.0'), opening, frame(200, Buffer.alloc(60, 7))]
  const times = await Promise.all(slow.map(bytes => untilClosed(listening.port, bytes)))
  for (let i = 0; i < slow.length; i++) {
    const down = await peer.next('down')
    check('a handshake that stands still is given up', down.code === 'timeout', JSON.stringify(down))
  }
  check('not before its budget of five seconds', Math.min(...times) >= 4500, `${times}`)
  // Half-open connections above the limit per address are closed without a word.
  const sockets = []
  let closed = 0
  for (let i = 0; i < 24; i++) {
    const socket = net.connect(listening.port, '127.0.0.1')
    socket.on('error', () => {})
    socket.on('close', () => closed++)
    socket.on('data', () => {})
    sockets.push(socket)
  }
  for (let i = 0; i < 16; i++) check('a silent connection is dropped', (await peer.next('down')).code === 'timeout')
  for (const socket of sockets) socket.destroy()
}

const [binary] = process.argv.slice(2)
const peers = []
try {
  for (const ours of [true, false]) {
    const peer = new OurPeer(binary, ...(ours ? [] : ['--late-muxer']))
    peers.push(peer)
    const listening = await peer.next('listening')
    for (const early of EARLY.filter(one => one.ours === ours)) {
      await jsDialsUs(peer, listening, early)
      await weDialJs(peer, early)
    }
    if (!ours) continue
    await wrongPeer(peer, listening)
    await misbehave(peer, listening)
    await jsDialsUs(peer, listening, { js: true, ours })  // it still serves
  }
} catch (error) {
  check(`no exception (${error.stack})`, false)
}
for (const peer of peers) {
  const status = await peer.stop().catch(error => error.message)
  check('we leave no file open', status === 0, `${status}`)
}
finish()
