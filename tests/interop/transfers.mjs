// transfers.mjs INTEROP_PEER: much data between js-libp2p and us: echoes, so that every byte goes both ways, on one
// stream and on many, asked by either side, with the muxer agreed early and by multistream. KITH_INTEROP_BYTES says how
// many bytes each way (default 100 MB: 15 to 30 s with sanitizers on two busy cores). Prints one line per check and ends
// with status 0 only when all hold.
import { check, finish, jsNode, noiseWithoutMuxers, OurPeer, within } from './harness.mjs'

const { multiaddr } = await import('@multiformats/multiaddr')

const ECHO = '/kith-interop/echo/1.0.0'
const BYTES = Number(process.env.KITH_INTEROP_BYTES ?? 100_000_000)
const STREAMS = 8
const CHUNK = 64 * 1024

// What interop_peer.cpp sends as well: it repeats after 2 MiB. Twice in a row here, for slices from anywhere in it.
const PERIOD = 2 * 1024 * 1024
const pattern = Buffer.from(Uint8Array.from({ length: 2 * PERIOD }, (_unused, i) => (i * 31 + (i >> 13)) & 0xff))
const expected = (at, length) => pattern.subarray(at % PERIOD, at % PERIOD + length)

async function serveEcho (node) {
  await node.handle(ECHO, async stream => {
    for await (const part of stream) {
      if (!stream.send(part.subarray())) await stream.onDrain()
    }
    await stream.close()
  }, { maxInboundStreams: STREAMS })
}

async function echoThrough (node, address, bytes) {
  const stream = await node.dialProtocol(address, ECHO, { maxOutboundStreams: STREAMS })
  let received = 0
  let intact = true
  const reading = (async () => {
    for await (const part of stream) {
      for (let rest = part.subarray(); rest.length > 0;) {
        const one = rest.subarray(0, PERIOD)
        intact = intact && expected(received, one.length).equals(one)
        received += one.length
        rest = rest.subarray(one.length)
      }
      if (received >= bytes) break
    }
  })()
  for (let at = 0; at < bytes; at += CHUNK) {
    if (!stream.send(expected(at, Math.min(CHUNK, bytes - at)))) await stream.onDrain()
  }
  await stream.close()
  await reading
  return intact && received === bytes
}

// Runs `transfer` and says how fast it was: for whoever reads the log, never a check.
async function timed (sentence, transfer) {
  const begun = Date.now()
  const good = await within(transfer(), sentence)
  const seconds = (Date.now() - begun) / 1000
  check(`${sentence} (${seconds.toFixed(1)} s, ${(BYTES / 1e6 / seconds).toFixed(0)} MB/s each way)`, good)
}

async function jsAsks (peer, listening) {
  const node = await jsNode()
  const address = multiaddr(`/ip4/127.0.0.1/tcp/${listening.port}/p2p/${listening.peer}`)
  await within(node.dial(address), 'dial')
  await peer.next('connected')
  await timed(`js asks for ${BYTES} bytes on one stream`, () => echoThrough(node, address, BYTES))
  await timed(`js asks for ${BYTES} bytes on ${STREAMS} streams`, async () => {
    const share = Math.floor(BYTES / STREAMS)
    const all = await Promise.all(Array.from({ length: STREAMS }, () => echoThrough(node, address, share)))
    return all.every(one => one)
  })
  await within(node.stop(), 'stop of js')
}

async function weAsk (peer, early) {
  const node = await jsNode(early ? {} : { connectionEncrypters: [noiseWithoutMuxers()] })
  await serveEcho(node)
  const port = /tcp\/(\d+)/.exec(node.getMultiaddrs()[0].toString())[1]
  const name = early ? 'early muxer' : 'muxer by multistream'
  peer.send(`dial 127.0.0.1 ${port} ${node.peerId.toString()}`)
  await peer.next('connected')
  const echo = async bytes => {
    peer.send(`echo ${bytes}`)
    const echoed = await peer.next('echoed', 'reset', 'down')
    return echoed.ok === true && echoed.bytes === bytes
  }
  await timed(`we ask for ${BYTES} bytes on one stream (${name})`, () => echo(BYTES))
  await timed(`we ask for ${BYTES} bytes on ${STREAMS} streams (${name})`, async () => {
    const share = Math.floor(BYTES / STREAMS)
    return (await Promise.all(Array.from({ length: STREAMS }, () => echo(share)))).every(one => one)
  })
  await within(node.stop(), 'stop of js')
  await peer.next('down')
}

const [binary] = process.argv.slice(2)
const peer = new OurPeer(binary)
try {
  const listening = await peer.next('listening')
  await jsAsks(peer, listening)
  await peer.next('down')
  await weAsk(peer, true)
  await weAsk(peer, false)
} catch (error) {
  check(`no exception (${error.stack})`, false)
}
check('we leave no file open', await peer.stop() === 0)
finish()
