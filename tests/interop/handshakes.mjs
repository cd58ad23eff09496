// handshakes.mjs INTEROP_PEER [SECONDS]: a measurement, no test: full dials per second over loopback TCP (multistream,
// Noise, yamux agreed early), dialler and listener a process each, four dials under way. First js-libp2p to js-libp2p,
// then us to us, then both again. How to read it: bench/README.md. INTEROP_PEER should be from a release build.
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { jsNode, OurPeer } from './harness.mjs'

const { multiaddr } = await import('@multiformats/multiaddr')

const PARALLEL = 4
const limits = { inboundConnectionThreshold: 1e6, maxConnections: 1e6, maxIncomingPendingConnections: 1e6 }

async function listen () {
  const node = await jsNode({ services: {}, connectionManager: limits })
  console.log(node.getMultiaddrs()[0].toString())
}

async function js (seconds) {
  const listener = spawn(process.execPath, [fileURLToPath(import.meta.url), 'listen'], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = await new Promise(resolve => createInterface({ input: listener.stdout }).once('line', text => resolve([text])))
  // Concurrent dials of one node to one peer become one, so each dial under way has a node of its own.
  const nodes = await Promise.all(Array.from({ length: PARALLEL }, () =>
    jsNode({ addresses: {}, services: {}, connectionManager: limits })))
  const begun = Date.now()
  let count = 0
  await Promise.all(nodes.map(async node => {
    while (Date.now() - begun < seconds * 1000) {
      const connection = await node.dial(multiaddr(line))
      await connection.close()
      count++
    }
  }))
  const rate = count / ((Date.now() - begun) / 1000)
  await Promise.all(nodes.map(node => node.stop()))
  listener.kill()
  return rate
}

async function ours (binary, seconds) {
  const listener = new OurPeer(binary, '--many')
  const dialler = new OurPeer(binary, '--many')
  const at = await listener.next('listening')
  await dialler.next('listening')
  const begun = Date.now()
  let count = 0
  while (Date.now() - begun < seconds * 1000) {
    dialler.send(`handshakes 127.0.0.1 ${at.port} ${at.peer} ${PARALLEL} 200`)
    count += (await dialler.next('handshaken')).count
  }
  const rate = count / ((Date.now() - begun) / 1000)
  await Promise.all([listener.stop(), dialler.stop()])
  return rate
}

if (process.argv[2] === 'listen') {
  await listen()
} else {
  const [binary, seconds = '5'] = process.argv.slice(2)
  for (let round = 0; round < 2; round++) {
    const theirs = await js(Number(seconds))
    const own = await ours(binary, Number(seconds))
    console.log(`handshakes per second: js ${theirs.toFixed(0)}, ours ${own.toFixed(0)}, ratio ${(own / theirs).toFixed(1)}`)
  }
  process.exit(0)
}
